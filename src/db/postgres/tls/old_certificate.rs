//! Certificates as old recipes make them, which libpq accepts and rustls does not: of version 1 of X.509, or with the name of
//! the host in the common name alone.

use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// A certificate, parsed without rustls.
pub struct OldCertificate(Certificate);

impl OldCertificate {
    /// Parses a certificate of any version.
    pub fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        Certificate::from_der(certificate).ok().map(Self)
    }

    pub fn is_version_1(&self) -> bool {
        self.0.tbs_certificate.version == Version::V1
    }

    /// Returns true if no name of a host is where it belongs, so that the common name has to do.
    pub fn has_common_name_only(&self) -> bool {
        let extensions = self.0.tbs_certificate.extensions.iter().flatten();
        !extensions.into_iter().any(|extension| extension.extn_id == SUBJECT_ALT_NAME)
    }

    /// Returns the public key.
    pub fn key(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        Some(self.0.tbs_certificate.subject_public_key_info.to_der().ok()?.into())
    }

    /// Fails if the certificate is not valid at this time.
    pub fn require_valid(&self, now: UnixTime) -> Result<(), Error> {
        let validity = self.0.tbs_certificate.validity;
        let not_before = UnixTime::since_unix_epoch(validity.not_before.to_unix_duration());
        let not_after = UnixTime::since_unix_epoch(validity.not_after.to_unix_duration());
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        Ok(())
    }

    /// Fails unless one of the authorities itself has signed the certificate.
    pub fn require_signed_by(
        &self,
        authorities: &[CertificateDer<'_>],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let mut authorities = authorities.iter().filter_map(Self::parse);
        match authorities.any(|authority| self.is_signed_by(&authority, algorithms).unwrap_or(false)) {
            true => Ok(()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn is_signed_by(&self, authority: &Self, algorithms: &[&dyn SignatureVerificationAlgorithm]) -> Option<bool> {
        let (signed, key) = (&self.0.tbs_certificate, &authority.0.tbs_certificate.subject_public_key_info);
        if signed.issuer != authority.0.tbs_certificate.subject {
            return None;
        }
        let (of_signature, of_key) = (identifier(&self.0.signature_algorithm)?, identifier(&key.algorithm)?);
        let (message, signature) = (signed.to_der().ok()?, self.0.signature.as_bytes()?);
        let public_key = key.subject_public_key.as_bytes()?;
        Some(algorithms.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == of_signature
                && algorithm.public_key_alg_id().as_ref() == of_key
                && algorithm.verify_signature(public_key, &message, signature).is_ok()
        }))
    }

    /// Fails unless the common name is that of the host, or a pattern `*.DOMAIN` of names with one more part.
    pub fn require_common_name(&self, host: &ServerName<'_>) -> Result<(), Error> {
        let names = self.common_names();
        let asked = host.to_str();
        let fits = |name: &String| match (name.strip_prefix("*."), host) {
            (Some(domain), ServerName::DnsName(_)) => {
                asked.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(domain))
            }
            _ => name.eq_ignore_ascii_case(&asked),
        };
        match names.iter().any(fits) {
            true => Ok(()),
            false => {
                let expected = host.to_owned();
                Err(CertificateError::NotValidForNameContext { expected, presented: names }.into())
            }
        }
    }

    fn common_names(&self) -> Vec<String> {
        let parts = self.0.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
        let names = parts.filter(|part| part.oid == COMMON_NAME);
        names.filter_map(|part| String::from_utf8(part.value.value().to_vec()).ok()).collect()
    }
}

/// Returns an identifier of an algorithm as rustls compares it: without its outer sequence.
fn identifier(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let mut found = algorithm.oid.to_der().ok()?;
    if let Some(parameters) = &algorithm.parameters {
        found.extend(parameters.to_der().ok()?);
    }
    Some(found)
}
