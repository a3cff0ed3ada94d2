//! What is said when a connection cannot be encrypted as it was asked for.

use rustls::{AlertDescription, CertificateError};

use crate::db::engine_error::{EngineError, EngineErrorKind};

const NO_TLS: &str = "server does not support TLS";
const NAME: &str = "connect to a name that the certificate has, or give the server one for this name (subjectAltName); \
                    sslmode=verify-ca does not compare names";
const AUTHORITY: &str =
    "name the file of the authority that has signed it in sslrootcert; ask the operator of the server for it";
const RENEW: &str = "give the server a new certificate, or correct the clock of this machine";
const CLIENT: &str = "name a certificate that the server trusts in sslcert, and its key in sslkey";

/// Returns what to do about a server's answer that is about encryption.
pub fn hint_of_answer(code: &str, message: &str) -> Option<&'static str> {
    let hints = [
        (
            "no encryption",
            "the server takes encrypted connections only from here: set sslmode=require or a stricter one",
        ),
        ("SSL encryption", "the server takes no encrypted connections from here: set sslmode=disable"),
        ("SSL on", "the server takes no encrypted connections from here: set sslmode=disable"),
        ("SSL off", "the server takes encrypted connections only from here: set sslmode=require or a stricter one"),
        ("valid client certificate", CLIENT),
    ];
    // The code alone does not tell it from a wrong user.
    hints.into_iter().filter(|_| code == "28000").find_map(|(text, hint)| message.contains(text).then_some(hint))
}

/// Returns the error for a failure of encryption; nothing if it failed for another reason.
pub fn explained(error: &postgres::Error) -> Option<EngineError> {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    for cause in causes {
        let within = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let found = cause.downcast_ref().or_else(|| within.and_then(|inner| inner.downcast_ref()));
        if let Some(fault) = found {
            let (what, hint) = of_rustls(fault);
            return Some(EngineError::new(EngineErrorKind::Unusable, what).with_hint(hint));
        }
        if cause.to_string() == NO_TLS {
            let error = EngineError::new(EngineErrorKind::Unusable, "the server does not offer TLS");
            return Some(
                error.with_hint("switch it on there (ssl = on); or connect with sslmode=prefer, which goes without"),
            );
        }
    }
    None
}

fn of_rustls(error: &rustls::Error) -> (String, &'static str) {
    match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::AlertReceived(alert) if is_about_client(*alert) => {
            (format!("the server does not accept the certificate of the client ({alert:?})"), CLIENT)
        }
        error => (
            format!("the TLS handshake failed: {error}"),
            "check that a server of PostgreSQL with TLS 1.2 or later listens there",
        ),
    }
}

fn is_about_client(alert: AlertDescription) -> bool {
    use AlertDescription::*;
    matches!(
        alert,
        BadCertificate
            | UnsupportedCertificate
            | CertificateRevoked
            | CertificateExpired
            | CertificateUnknown
            | UnknownCA
            | CertificateRequired
            | AccessDenied
    )
}

fn of_certificate(error: &CertificateError) -> (String, &'static str) {
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let name = expected.to_str();
            let others: Vec<_> = presented.iter().map(|name| shown_name(name)).collect();
            let what = match others.is_empty() {
                true => format!("the certificate of the server names no host, and {name} is asked for"),
                false => format!("the certificate of the server is for {}, not for {name}", others.join(", ")),
            };
            (what, NAME)
        }
        CertificateError::NotValidForName => ("the certificate of the server is for another name".into(), NAME),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("the certificate of the server has expired {}", at(not_after.as_secs())), RENEW)
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("the certificate of the server becomes valid {}", at(not_before.as_secs())), RENEW)
        }
        CertificateError::UnknownIssuer => {
            ("the certificate of the server is not signed by an authority in sslrootcert".into(), AUTHORITY)
        }
        CertificateError::BadSignature => {
            ("the signature of the server's certificate is not that of an authority in sslrootcert".into(), AUTHORITY)
        }
        // The type of this error is not public.
        CertificateError::Other(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => (
            "the certificate of the server is that of an authority, and is not in sslrootcert itself".into(),
            AUTHORITY,
        ),
        error => (
            format!("the certificate of the server cannot be used: {}", rustls::Error::from(error.clone())),
            "give the server another certificate, or name the right authority in sslrootcert",
        ),
    }
}

/// Turns `DnsName("a")` into `a`.
fn shown_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_end_matches(')').trim_matches('"'))
}

fn at(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| format!("at {time}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_encryption_is_not_one_about_the_user() {
        let hba = "no pg_hba.conf entry for host \"::1\", user \"a\", database \"b\", ";
        assert!(hint_of_answer("28000", &format!("{hba}no encryption")).unwrap().contains("sslmode=require"));
        assert!(hint_of_answer("28000", &format!("{hba}SSL encryption")).unwrap().contains("sslmode=disable"));
        assert_eq!(hint_of_answer("28000", "role \"a\" does not exist"), None);
        assert_eq!(hint_of_answer("42601", "no encryption"), None);
    }

    #[test]
    fn names_in_certificates_are_shown_as_they_are_written() {
        assert_eq!(shown_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(shown_name("IpAddress(127.0.0.1)"), "127.0.0.1");
    }
}
