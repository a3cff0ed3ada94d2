//! Texts in double quotes, which old definitions may have.

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
