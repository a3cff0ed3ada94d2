//! The files of certificates and keys, in PEM.

use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_native_certs::load_native_certs;

use super::settings::{MaybeFile, TlsSettings, Trust};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::durable::open_named_file;

const FILE_BYTES_MAX: u64 = 4 << 20;
/// Rights that nobody but the owner of a key may have.
const OTHERS: u32 = 0o077;
/// The same if the owner is root: its group may read the key.
const OTHERS_OF_ROOT: u32 = 0o027;

/// A certificate of the client, with those that lead to its authority, and its key.
pub type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Returns the certificates of the authorities that may sign for a server; nothing if any certificate is accepted.
pub fn roots(settings: &TlsSettings) -> Result<Option<Vec<CertificateDer<'static>>>, EngineError> {
    match settings.trust() {
        Trust::Any => Ok(None),
        Trust::System => system_roots().map(Some),
        Trust::FileIfThere(file) => {
            read(&file.path, "sslrootcert")?.map(|(text, _)| parsed(&text, &file.path)).transpose()
        }
        Trust::File(file) => match read(&file.path, "sslrootcert")? {
            Some((text, _)) => parsed(&text, &file.path).map(Some),
            None => Err(fault(
                format!("{}: there is no file with the authorities that may sign for the server", file.path.display()),
                "name it in sslrootcert; sslrootcert=system takes those that the system trusts",
            )),
        },
    }
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let found = load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let what = format!("this system has no certificates of authorities that it trusts {}", why.join("; "));
        return Err(fault(what.trim_end(), "install ca-certificates, or name a file in sslrootcert"));
    }
    Ok(found.certs)
}

/// Returns the certificate of the client. One that the address does not name need not exist.
pub fn client_certificate(settings: &TlsSettings) -> Result<Option<ClientCertificate>, EngineError> {
    let Some((certificate, key)) = settings.client_files() else { return Ok(None) };
    let Some((text, _)) = read(&certificate.path, "sslcert")? else {
        return match certificate.is_named {
            true => Err(absent(&certificate, "sslcert")),
            false => Ok(None),
        };
    };
    let chain = parsed(&text, &certificate.path)?;
    let Some((text, metadata)) = read(&key.path, "sslkey")? else { return Err(absent(&key, "sslkey")) };
    require_secret(&key.path, &metadata)?;
    let parsed = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let what = format!("{}: there is no private key in PEM that haul can read", key.path.display());
        fault(what, "write it without a passphrase: openssl pkey -in KEY -out NEW_KEY, then chmod 600 NEW_KEY")
    })?;
    Ok(Some((chain, parsed)))
}

fn absent(file: &MaybeFile, parameter: &str) -> EngineError {
    fault(format!("{}: there is no such file", file.path.display()), format!("name the right one in {parameter}"))
}

fn require_secret(path: &Path, metadata: &Metadata) -> Result<(), EngineError> {
    let (others, allowed) = if metadata.uid() == 0 { (OTHERS_OF_ROOT, "640") } else { (OTHERS, "600") };
    match metadata.mode() & others {
        0 => Ok(()),
        _ => Err(fault(
            format!("{}: other users may use this private key", path.display()),
            format!("take their rights away with chmod {allowed}"),
        )),
    }
}

fn read(path: &Path, parameter: &str) -> Result<Option<(Vec<u8>, Metadata)>, EngineError> {
    let wrap = |error: std::io::Error| {
        fault(format!("{}: it cannot be read: {error}", path.display()), format!("correct the file or {parameter}"))
    };
    let file = match open_named_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(wrap)?,
    };
    let metadata = file.metadata().map_err(wrap)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(wrap)?;
    Ok(Some((text, metadata)))
}

fn parsed(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().unwrap_or_default();
    if found.is_empty() {
        let what = format!("{}: there is no certificate in PEM that haul can read", path.display());
        return Err(fault(what, "write it with the lines BEGIN CERTIFICATE and END CERTIFICATE"));
    }
    Ok(found)
}

/// Returns the error for a file.
pub(super) fn fault(what: impl AsRef<str>, next: impl Into<String>) -> EngineError {
    EngineError::new(EngineErrorKind::Unusable, what).with_hint(next)
}
