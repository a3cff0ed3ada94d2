//! Reads the measures of a definition in a database.

use rusqlite::{Connection, OptionalExtension};

use super::set_facts::MeasureValue;
use crate::migration::Error;
use crate::upgrade::definition::{Definition, ShapeSql};
use crate::upgrade::schema::Place;
use crate::upgrade::set::Member;
use crate::upgrade::values::{Values, create_views, register};

/// Reads the numbers that backfills of other files want to know of this one.
pub fn measure(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
    values: &Values,
) -> Result<Vec<MeasureValue>, Error> {
    let place = Place::new(connection, member, "plan");
    register(connection, values)?;
    create_views(connection, definition, &member.tier, &member.shape)?;
    let mut found = Vec::new();
    for measure in definition.measures.iter().filter(|measure| measure.tier == member.tier) {
        let Some(sql) = ShapeSql::of_shape(&measure.selects, &member.shape) else { continue };
        let value = connection.query_row(sql, [], |row| row.get::<_, Option<f64>>(0)).optional();
        let value = value.map_err(|error| place.error(&format!("measure {}", measure.name), error))?.flatten();
        let (file, tier, name) = (member.key.clone(), member.tier.clone(), measure.name.clone());
        found.push(MeasureValue { file, tier, name, value });
    }
    Ok(found)
}
