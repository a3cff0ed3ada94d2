//! Encryption of connections with TLS, as libpq's parameters ask for it.
//!
//! [`settings`] reads the parameters, [`files`] the certificates, [`verifier`] decides about the certificate of the server,
//! and [`faults`] says what went wrong. A socket of this machine is never encrypted.

mod connector;
mod faults;
mod files;
mod old_certificate;
mod settings;
mod verifier;

pub use connector::Connector;
pub use faults::{explained, hint_of_answer};
pub use settings::TlsSettings;
