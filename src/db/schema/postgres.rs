//! Reads the schema of a PostgreSQL database from its catalogs.

use super::dependencies::{comment_out, needs, unread};
use super::diff::FOR_FUNCTIONS;
use super::kinds::queries;
use super::object::Object;
use super::order::ordered;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;
use crate::db::state::Tables;
use crate::migration::escaped;

pub fn objects(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Object>, EngineError> {
    database.begin_reading()?;
    let found = all(database, tables);
    // This is ended after an error too, because the connection is used further.
    let end = database.end_reading();
    found.and_then(|found| end.map(|()| found))
}

fn all(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Object>, EngineError> {
    let mut objects = Vec::new();
    let mut belongs = Vec::new();
    for (kind, sql) in queries(tables) {
        for row in database.query(&sql, &[])? {
            let mut values = row.into_iter();
            let mut next = || values.next().unwrap_or(Value::Text(None)).into_text();
            let (title, sql, mut address, owner) = (format!("{kind} {}", next()), next(), next(), next());
            if address.is_empty() {
                address = format!("#{}", objects.len());
            }
            if !owner.is_empty() {
                belongs.push((address.clone(), owner));
            }
            objects.push(Object { title, address, sql });
        }
    }
    // Nothing loads the text of a tenant, and what depends on what is known for the whole database only: each of many
    // tenants would read it all.
    let (unread, needs) = match tables.tenant() {
        Some(_) => (Vec::new(), Vec::new()),
        None => (unread(database)?, [belongs, needs(database)?].concat()),
    };
    comment_out(&mut objects, &unread, &needs);
    let mut objects = ordered(objects, &needs);
    if objects.iter().any(|object| object.title.starts_with("function ")) {
        // The body of a function may name a table or a function that comes after it.
        let sql = "SET check_function_bodies = off".to_owned();
        objects.insert(0, Object { title: FOR_FUNCTIONS.into(), address: String::new(), sql });
    }
    let unread: Vec<_> = unread.iter().map(|(title, _)| format!("-- {}", escaped(title))).collect();
    if !unread.is_empty() {
        objects.push(Object { title: "left out".into(), address: String::new(), sql: unread.join("\n") });
    }
    Ok(objects)
}
