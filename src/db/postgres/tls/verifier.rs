//! Decides whether the certificate of a server is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::old_certificate::OldCertificate;

/// The authorities that may sign for a server.
#[derive(Debug)]
pub struct Roots {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Takes those that can be read. Returns nothing if none can.
    pub fn of(certificates: Vec<CertificateDer<'static>>) -> Option<Self> {
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
        (added > 0).then_some(Self { store, certificates })
    }
}

/// Accepts certificates that an authority has signed, or all.
#[derive(Debug)]
pub struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` accepts all.
    roots: Option<Roots>,
    checks_name: bool,
    /// Is set when a server shows a certificate.
    was_used: Arc<AtomicBool>,
}

impl Verifier {
    pub fn new(
        provider: Arc<CryptoProvider>,
        roots: Option<Roots>,
        checks_name: bool,
        was_used: Arc<AtomicBool>,
    ) -> Self {
        Self { provider, roots, checks_name, was_used }
    }
}

impl Verifier {
    fn verify(
        &self,
        parsed: &ParsedCertificate<'_>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &Roots,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let old = || OldCertificate::parse(end_entity);
        match verify_server_cert_signed_by_trust_anchor(parsed, &roots.store, intermediates, now, algorithms) {
            // A certificate that has signed itself, and that the file of authorities has. It may say that it is the one of
            // an authority, which the check of chains does not take for a server's.
            Err(error) if roots.certificates.contains(end_entity) => old().ok_or(error)?.require_valid(now)?,
            result => result?,
        }
        match (self.checks_name, old().filter(OldCertificate::has_common_name_only)) {
            (false, _) => Ok(()),
            (true, None) => verify_server_name(parsed, server_name),
            (true, Some(old)) => old.require_common_name(server_name),
        }
    }

    fn verify_old(
        &self,
        old: &OldCertificate,
        end_entity: &CertificateDer<'_>,
        roots: &Roots,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !roots.certificates.contains(end_entity) {
            old.require_signed_by(&roots.certificates, self.provider.signature_verification_algorithms.all)?;
        }
        old.require_valid(now)?;
        if self.checks_name { old.require_common_name(server_name) } else { Ok(()) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.was_used.store(true, Ordering::Relaxed);
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        match ParsedCertificate::try_from(end_entity) {
            Ok(parsed) => self.verify(&parsed, end_entity, intermediates, roots, server_name, now)?,
            // Many servers have a certificate of version 1, of which rustls reads nothing.
            Err(error) => match OldCertificate::parse(end_entity).filter(OldCertificate::is_version_1) {
                Some(old) => self.verify_old(&old, end_entity, roots, server_name, now)?,
                None => return Err(error),
            },
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match verify_tls13_signature(message, certificate, signature, algorithms) {
            // The key in a certificate of version 1 has to be the server's too.
            Err(Error::InvalidCertificate(error)) if error != CertificateError::BadSignature => {
                let old = OldCertificate::parse(certificate).and_then(|old| old.key());
                let key = old.ok_or(Error::InvalidCertificate(error))?;
                verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
            }
            result => result,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made by `openssl x509 -req`, which makes version 1 unless it is given extensions, and signed by the other one.
    const VERSION_1: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBIDCBxwIUW3prv8KAgxrObrrsLz9xAaR4RTcwCgYIKoZIzj0EAwIwDzENMAsG\n\
        A1UEAwwEcm9vdDAgFw0yNjExMzAxNTAyMDNaGA8yMTA2MDQyNTE1MDIwM1owFTET\n\
        MBEGA1UEAwwKZGIuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPsG\n\
        8o1Vv4X/vuS23DoizOhKQIE/dPWGG52Ez35p1LCUW3OTTaStxZvFwLULHHPSkxe+\n\
        y9ef+3HdBjeqREKJyjYwCgYIKoZIzj0EAwIDSAAwRQIgBnQTT05dOojJqiLn2MKp\n\
        78gmbz29t2csiPFx1CZVgZUCIQDPcUmCEhDVkbTheVoaFccXbwA7DBj/rfqNSIXW\n\
        u7ZOjA==\n\
        -----END CERTIFICATE-----\n";
    const ITS_AUTHORITY: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBdDCCARugAwIBAgIUFp2nww6P69YXnvdwsn42sYsC3TkwCgYIKoZIzj0EAwIw\n\
        DzENMAsGA1UEAwwEcm9vdDAgFw0yNjExMzAxNTAyMDNaGA8yMTA5MDExOTE1MDIw\n\
        M1owDzENMAsGA1UEAwwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMN3\n\
        Z9L4N2wj81kraxxERyzu26k1Kcyc0P9SArxA+k4dfCrbyC4ZLikSW8zD/E+uOqjT\n\
        qSxede9NbmkBiU1B5b6jUzBRMB0GA1UdDgQWBBQw9bxxR2Gcsm9qhKDnJSeLmCWL\n\
        yTAfBgNVHSMEGDAWgBQw9bxxR2Gcsm9qhKDnJSeLmCWLyTAPBgNVHRMBAf8EBTAD\n\
        AQH/MAoGCCqGSM49BAMCA0cAMEQCIEGgn0dFEZWCkuEB3h0LHdgIf34DS0u18LzO\n\
        9jFm5wwYAiAiLMEyYk1/ITB49SEGG4rUMsENZ8ZIYxGS5nAGMlA4/A==\n\
        -----END CERTIFICATE-----\n";

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str) -> Issuer {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Issuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    }

    fn signed(issuer: &Issuer) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::new(["db.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2060, 1, 1);
        parameters.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    /// Shows a certificate to a verifier that trusts `roots`, in the year 2030 or later.
    fn shown(
        roots: &[&CertificateDer<'static>],
        checks_name: bool,
        one: &CertificateDer<'_>,
        name: &str,
        year: u64,
    ) -> Result<(), Error> {
        let roots = Roots::of(roots.iter().map(|root| (*root).clone()).collect());
        let verifier = Verifier::new(default_provider().into(), roots, checks_name, Arc::default());
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 365 * 86_400 + 30 * 86_400));
        verifier.verify_server_cert(one, &[], &ServerName::try_from(name).unwrap(), &[], now).map(|_| ())
    }

    #[test]
    fn chain_name_and_date_are_checked_as_far_as_asked() {
        let (ours, other) = (authority("ours"), authority("another"));
        let server = signed(&ours);
        let ours: &CertificateDer<'static> = ours.der();
        for name in ["db.example", "127.0.0.1"] {
            shown(&[ours], true, &server, name, 2030).unwrap();
            shown(&[other.der(), ours], true, &server, name, 2030).unwrap();
        }
        for name in ["other.example", "127.0.0.2", "a.db.example"] {
            let error = shown(&[ours], true, &server, name, 2030).unwrap_err();
            assert!(
                matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
                "{error:?}"
            );
            shown(&[ours], false, &server, name, 2030).unwrap();
        }
        for checks_name in [true, false] {
            let error = shown(&[other.der()], checks_name, &server, "db.example", 2030).unwrap_err();
            assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
            let error = shown(&[ours], checks_name, &server, "db.example", 2070).unwrap_err();
            assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error:?}");
        }
        // An authority of the same name can have another key.
        let error = shown(&[authority("ours").der()], false, &server, "db.example", 2030).unwrap_err();
        assert_eq!(error, Error::InvalidCertificate(CertificateError::BadSignature));
        // Without authorities, nothing is checked.
        shown(&[], false, &server, "other.example", 2070).unwrap();
    }

    #[test]
    fn a_certificate_of_version_1_is_checked_too() {
        let [old, ours] =
            [VERSION_1, ITS_AUTHORITY].map(|text| CertificateDer::from_pem_slice(text.as_bytes()).unwrap());
        assert!(ParsedCertificate::try_from(&old).is_err());
        shown(&[&ours], true, &old, "db.example", 2030).unwrap();
        shown(&[&old], true, &old, "DB.example", 2030).unwrap();
        shown(&[&ours], true, &old, "other.example", 2030).unwrap_err();
        shown(&[&ours], false, &old, "other.example", 2030).unwrap();
        let error = shown(&[&ours], false, &old, "db.example", 2120).unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error:?}");
        for name in ["another", "root"] {
            let error = shown(&[authority(name).der()], false, &old, "db.example", 2030).unwrap_err();
            assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        shown(&[], false, &old, "other.example", 2120).unwrap();
    }

    #[test]
    fn the_common_name_counts_where_there_is_no_other() {
        let ours = authority("ours");
        let named = |names: &[&str], common_name: &str| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut parameters = CertificateParams::new(names).unwrap();
            parameters.distinguished_name.push(DnType::CommonName, common_name);
            parameters.signed_by(&KeyPair::generate().unwrap(), &ours).unwrap().der().clone()
        };
        let check = |one: &CertificateDer<'_>, name: &str| shown(&[ours.der()], true, one, name, 2030).is_ok();
        let exact = named(&[], "Db.example");
        assert!(check(&exact, "db.example") && !check(&exact, "example") && !check(&exact, "a.db.example"));
        let pattern = named(&[], "*.example");
        assert!(check(&pattern, "db.example") && !check(&pattern, "example") && !check(&pattern, "a.db.example"));
        assert!(check(&named(&[], "127.0.0.1"), "127.0.0.1"));
        assert!(!check(&named(&["other.example"], "db.example"), "db.example"));
    }

    #[test]
    fn a_certificate_that_signed_itself_is_trusted_where_it_is_among_the_authorities() {
        let mut parameters = CertificateParams::new(["db.example".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let own = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        shown(&[&own], true, &own, "db.example", 2030).unwrap();
        shown(&[&own], true, &own, "other.example", 2030).unwrap_err();
        let error = shown(&[authority("another").der()], false, &own, "db.example", 2030).unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(CertificateError::Other(_))), "{error:?}");
        let error = shown(&[&own], true, &own, "db.example", 2070).unwrap_err();
        assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error:?}");
    }
}
