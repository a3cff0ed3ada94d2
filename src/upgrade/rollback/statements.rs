//! SQL text for rows, as a shell of SQLite reads it.

use rusqlite::Connection;

use crate::upgrade::facts::quoted;

/// What stands in place of a value that may be a secret.
const REDACTED: &str = "'[redacted]'";

/// Returns an expression for the literal of a column: `quote()`, but with texts that hold a zero byte whole.
fn literal(alias: &str, column: &str) -> String {
    let value = format!("{alias}.{}", quoted(column));
    format!(
        "CASE WHEN typeof({value}) = 'text' AND instr({value}, char(0)) > 0 \
         THEN 'CAST(X''' || hex(CAST({value} AS BLOB)) || ''' AS TEXT)' ELSE quote({value}) END"
    )
}

/// A table whose rows are compared or exported.
#[derive(Debug, Clone)]
pub struct TableShape {
    /// Its name.
    pub name: String,
    /// Its columns, in order, without those that are computed.
    pub columns: Vec<String>,
    /// What tells its rows apart: the columns of its primary key, or a name of the row number.
    pub key: Vec<String>,
    /// True if `key` is no column.
    pub is_keyed_by_row_number: bool,
    /// Columns that may hold secrets.
    pub secrets: Vec<String>,
}

impl TableShape {
    /// Reads the shape of a table of the attached database `schema`. `secret_columns` are named `table.column`.
    pub fn read(
        connection: &Connection,
        schema: &str,
        table: &str,
        secret_columns: &[String],
    ) -> rusqlite::Result<Self> {
        let sql = "SELECT name, pk FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0 ORDER BY cid";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([table, schema], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(String, i64)> = rows.collect::<Result<_, _>>()?;
        let mut keys: Vec<_> = rows.iter().filter(|(_, place)| *place > 0).collect();
        keys.sort_by_key(|(_, place)| *place);
        let mut key: Vec<String> = keys.into_iter().map(|(name, _)| name.clone()).collect();
        let columns: Vec<String> = rows.into_iter().map(|(name, _)| name).collect();
        let is_keyed_by_row_number = key.is_empty();
        if is_keyed_by_row_number {
            let is_free = |name: &&str| !columns.iter().any(|column| column.eq_ignore_ascii_case(name));
            key.extend(["rowid", "_rowid_", "oid"].into_iter().find(is_free).map(String::from));
        }
        let secrets = secret_columns.iter().filter_map(|name| name.strip_prefix(table)?.strip_prefix('.'));
        Ok(Self {
            name: table.to_owned(),
            columns,
            key,
            is_keyed_by_row_number,
            secrets: secrets.map(String::from).collect(),
        })
    }

    /// Returns the columns whose values a statement names.
    fn named(&self) -> Vec<&String> {
        let row_number = self.key.iter().filter(|_| self.is_keyed_by_row_number);
        row_number.chain(&self.columns).collect()
    }

    /// Returns the text of a statement up to its values.
    pub fn insert_head(&self) -> String {
        let names: Vec<_> = self.named().into_iter().map(|name| quoted(name)).collect();
        format!("INSERT OR REPLACE INTO {} ({}) VALUES (", quoted(&self.name), names.join(", "))
    }

    /// Returns expressions for the literals of a row, in the order of [`insert_head`](Self::insert_head).
    pub fn literals(&self, alias: &str) -> String {
        let of = |name: &&String| match self.secrets.contains(*name) {
            true => format!("'{}'", REDACTED.replace('\'', "''")),
            false => literal(alias, name),
        };
        self.named().iter().map(of).collect::<Vec<_>>().join(", ")
    }

    /// Returns expressions for the literals of the key.
    pub fn key_literals(&self, alias: &str) -> String {
        self.key.iter().map(|name| literal(alias, name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns a condition that is true for two rows with the same key.
    pub fn same_key(&self, one: &str, other: &str) -> String {
        let equal = |name: &String| format!("{one}.{0} IS {other}.{0}", quoted(name));
        self.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// Returns a condition that is true for rows of which a part of the key is NULL: `INSERT OR REPLACE` adds to them.
    pub fn has_null_key(&self, alias: &str) -> String {
        let is_null = |name: &String| format!("{alias}.{} IS NULL", quoted(name));
        self.key.iter().map(is_null).collect::<Vec<_>>().join(" OR ")
    }

    /// Returns a condition that is true for two rows with the same values, whatever their columns take for equal.
    pub fn same_row(&self, one: &str, other: &str) -> String {
        let equal = |name: &String| {
            let name = quoted(name);
            format!("{one}.{name} COLLATE BINARY IS {other}.{name} AND typeof({one}.{name}) = typeof({other}.{name})")
        };
        let key = self.same_key(one, other);
        std::iter::once(key).chain(self.columns.iter().map(equal)).collect::<Vec<_>>().join(" AND ")
    }
}
