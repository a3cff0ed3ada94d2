//! Makes the encrypted ends of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::files::{ClientCertificate, client_certificate, fault, roots};
use super::settings::TlsSettings;
use super::verifier::{Roots, Verifier};
use crate::db::engine_error::EngineError;

/// The protocol that a server expects where encryption begins at once.
const PROTOCOL: &[u8] = b"postgresql";

/// Makes the encrypted ends of one connection and of the requests to cancel its statements.
#[derive(Clone)]
pub struct Connector {
    make: MakeRustlsConnect,
    was_used: Arc<AtomicBool>,
}

impl Connector {
    /// Reads the files that the settings name.
    pub fn new(settings: &TlsSettings) -> Result<Self, EngineError> {
        let roots = roots(settings)?.map(|found| {
            Roots::of(found).ok_or_else(|| fault("no certificate in sslrootcert can be read", "write it in PEM"))
        });
        Self::with(settings, roots.transpose()?, client_certificate(settings)?)
    }

    /// Makes a connector for a connection without encryption. It reads no files.
    pub fn without_files(settings: &TlsSettings) -> Result<Self, EngineError> {
        Self::with(settings, None, None)
    }

    fn with(
        settings: &TlsSettings,
        roots: Option<Roots>,
        certificate: Option<ClientCertificate>,
    ) -> Result<Self, EngineError> {
        let (provider, was_used) = (Arc::new(default_provider()), Arc::new(AtomicBool::new(false)));
        let verifier = Verifier::new(provider.clone(), roots, settings.checks_name(), was_used.clone());
        let wrap = |error: rustls::Error| fault(format!("TLS cannot be set up: {error}"), "correct sslcert and sslkey");
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrap)?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match certificate {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(wrap)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { make: MakeRustlsConnect::new(config), was_used })
    }

    /// Returns what the driver makes the encrypted end of a connection with.
    pub fn make(&self) -> MakeRustlsConnect {
        self.make.clone()
    }

    /// Returns true if a server has answered with encryption.
    pub fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::db::postgres::Address;
    use crate::db::variables::Variables;

    #[test]
    fn a_direct_connection_begins_with_tls_and_names_its_protocol() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = thread::spawn(move || {
            let url = format!("postgres://me@127.0.0.1:{port}/x?sslmode=require&sslnegotiation=direct");
            Address::parse(&url, &Variables::default()).unwrap().connect_to_write().is_err()
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        while server.is_handshaking() {
            server.complete_io(&mut stream).unwrap();
        }
        assert_eq!(server.alpn_protocol(), Some(PROTOCOL));
        drop(stream);
        assert!(client.join().unwrap(), "it is no server of PostgreSQL");
    }
}
