//! A server with TLS, whose certificate comes from an authority of the tests.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, RwLock};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::super::servers::on_a_port;
use crate::support::db::Db;
use crate::support::postgres::OwnServer;

/// The host in the certificate of the server.
pub const HOST: &str = "localhost";
/// Who may connect how: `app` with encryption, `certified` with a certificate, `scram` with a password, `plain` without
/// encryption.
const RULES: &str = "local all all trust\nhostssl all app 127.0.0.1/32 trust\nhost all either 127.0.0.1/32 trust\n\
                     hostssl all certified 127.0.0.1/32 trust clientcert=verify-ca\n\
                     hostssl all scram 127.0.0.1/32 scram-sha-256\nhostnossl all plain 127.0.0.1/32 trust\n";
const SETTINGS: &str = "ssl = on\nssl_ca_file = 'clients.crt'\n";
const ROLES: &str = "CREATE ROLE app SUPERUSER LOGIN; CREATE ROLE either SUPERUSER LOGIN; CREATE ROLE plain SUPERUSER LOGIN; \
                     CREATE ROLE certified SUPERUSER LOGIN; CREATE ROLE scram SUPERUSER LOGIN PASSWORD 's3cret'";
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// An authority that signs certificates.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// The server for all tests of TLS.
pub struct TlsServer {
    own: &'static OwnServer,
    data: PathBuf,
    authority: Authority,
    /// Is held for writing while the server has another certificate, or none.
    pub is_usual: RwLock<()>,
}

pub fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::new([]).expect("parameters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    Authority::self_signed(parameters, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate for a host or a client that is valid until the start of a year, and its key.
pub fn signed(authority: &Authority, name: &str, year: i32) -> (String, String) {
    let mut parameters = CertificateParams::new([name.to_owned()]).expect("parameters");
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().expect("a key");
    (parameters.signed_by(&key, authority).expect("a certificate").pem(), key.serialize_pem())
}

/// A certificate that has signed itself, as one of an authority may, and its key.
pub fn self_signed() -> (String, String) {
    let authority = authority(HOST);
    (authority.pem(), authority.key().serialize_pem())
}

/// Writes a file with these permissions.
pub fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Writes a file for the user that runs the server.
fn write_for_server(data: &Path, name: &str, text: &str) {
    let (path, owner) = (data.join(name), fs::metadata(data).expect("a directory"));
    write(&path, text, 0o600);
    chown(&path, Some(owner.uid()), Some(owner.gid())).expect("the owner of the file");
}

pub fn server() -> &'static TlsServer {
    static SERVER: OnceLock<TlsServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let authority = authority("authority of the tests");
        let mut place = PathBuf::new();
        let own = on_a_port(|data| {
            place = data.to_owned();
            let settings = fs::read_to_string(data.join("postgresql.conf")).expect("settings") + SETTINGS;
            write_for_server(data, "postgresql.conf", &settings);
            write_for_server(data, "pg_hba.conf", RULES);
            write_for_server(data, "clients.crt", &authority.pem());
            write_certificate(data, &signed(&authority, HOST, 2100));
        });
        Db::on(own.server()).execute(ROLES);
        TlsServer { own, data: place, authority, is_usual: RwLock::default() }
    })
}

fn write_certificate(data: &Path, (certificate, key): &(String, String)) {
    write_for_server(data, "server.crt", certificate);
    write_for_server(data, "server.key", key);
}

impl TlsServer {
    /// A database on the server, with the certificate of its authority in `root.crt`.
    pub fn db(&self) -> Db {
        let db = Db::on(self.own.server());
        write(&db.path().join("root.crt"), &self.authority.pem(), 0o644);
        db
    }

    /// A certificate for a client, and its key.
    pub fn for_client(&self) -> (String, String) {
        signed(&self.authority, "certified", 2100)
    }

    /// The URL of a database for a user, at a name that the server is called by.
    pub fn url(&self, db: &Db, user: &str, host: &str, parameters: &str) -> String {
        let database = db.rows("SELECT current_database()").remove(0);
        let port = self.own.server().port;
        format!("postgres://{user}@{host}:{port}/{database}?hostaddr=127.0.0.1&{parameters}")
    }

    /// Gives the server a certificate that is valid until the start of a year.
    pub fn set_certificate_until(&self, db: &Db, year: i32) {
        self.set_certificate(db, &signed(&self.authority, HOST, year));
    }

    /// Gives the server a certificate and its key.
    pub fn set_certificate(&self, db: &Db, pair: &(String, String)) {
        write_certificate(&self.data, pair);
        self.reload(db, "SELECT 1");
    }

    /// Runs a statement that changes a setting, and waits until the server has read it.
    pub fn reload(&self, db: &Db, sql: &str) {
        let loaded = || db.rows("SELECT pg_conf_load_time()");
        let before = loaded();
        db.execute(sql);
        db.execute("SELECT pg_reload_conf()");
        let deadline = Instant::now() + RELOAD_TIMEOUT;
        while loaded() == before {
            assert!(Instant::now() < deadline, "the server does not read its settings again");
        }
    }
}
