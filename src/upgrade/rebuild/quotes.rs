//! Definitions of old releases, which may hold a text in double quotes.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Runs `work` while a text may stand in double quotes, as in old definitions.
pub fn with_old_quotes<T>(connection: &Connection, work: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let set = |is_on| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, is_on)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, is_on)
    };
    set(true)?;
    let result = work();
    set(false)?;
    result
}
