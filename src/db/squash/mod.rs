//! Squashing: one file that makes the schema of many, with proof that it does (docs/source-sql.md, "Squashed files").

mod kept;
mod made;
mod rows;

pub use kept::Kept;
pub use rows::DataOf;

use super::dialect::Dialect;
use super::runner::{Runner, RunnerOptions};
use super::schema::changes;
use super::script::classify::Keywords;
use super::script::{Migration, Migrations, Replaced};
use super::state::Tables;
use super::target::RemoveScratch;
use super::version::Version;
use crate::db::database::Database;
use crate::migration::{Error, escaped};
use crate::pipeline::Control;
use made::Made;

/// The maximum number of names in an error.
const NAMES_MAX: usize = 5;

/// What to squash.
#[derive(Debug, Clone)]
pub struct SquashRequest {
    /// The last migration that is replaced.
    pub to: Version,
    /// True if statements about privileges and owners may be lost.
    pub without_privileges: bool,
    /// Whose rows the file holds too.
    pub data: DataOf,
}

/// A squashed file, proved to make the schema of the migrations that it replaces.
#[derive(Debug, Clone)]
pub struct Squash {
    /// The text of the file.
    pub text: String,
    /// Where statements are that the file does not have: about privileges or owners, or settings of a SQLite file.
    pub left_out: Vec<String>,
}

/// Returns the name of the squashed file.
pub fn squashed_file_name(migrations: &Migrations, to: &Version) -> Result<String, Error> {
    Ok(format!("{}_squashed.sql", last_of(migrations, to)?.digits))
}

/// Makes the text of one file that makes the schema of all migrations up to a version: runs these in a database of
/// `scratch`, runs the new file in another one, and compares the schemas.
pub fn squash(
    migrations: &Migrations,
    request: &SquashRequest,
    scratch: &mut dyn FnMut() -> Result<(Box<dyn Database>, RemoveScratch), Error>,
    options: &RunnerOptions,
    control: &Control<'_>,
) -> Result<Squash, Error> {
    let name = squashed_file_name(migrations, &request.to)?;
    let chain: Vec<_> = migrations.iter().filter(|migration| migration.version <= request.to).collect();
    require_inside(migrations.dialect(), &chain)?;
    let mut left_out = about_privileges(migrations.dialect(), &chain);
    if !left_out.is_empty() && !request.without_privileges {
        return Err(Error::Usage {
            what: format!("a squashed file has no privileges and no owners, and these are in: {}", some(&left_out)),
            next: "add --without-privileges, and repeat them in a migration behind it".into(),
        });
    }
    // The databases are haul's own, so the ledger in them has haul's usual name.
    let options = RunnerOptions { tables: Tables::default(), ..options.clone() };
    let mut run = |migrations: Migrations| {
        let (database, remove) = scratch()?;
        // The runner has the connection, which ends before the database is removed.
        let made = Runner::new(database, migrations, options.clone());
        let made = made.and_then(|mut runner| {
            runner.run_chain(&request.to, control, |database, tables| Made::read(database, tables, &request.data))
        });
        let removed = remove();
        made.and_then(|made| removed.map(|()| made))
    };
    let before = run(migrations.clone())?;
    require_all_in_schema(&before)?;
    let text = text_of(&name, &chain, &before);
    let squashed = Migrations::from_texts(migrations.dialect(), [(name.as_str(), text.as_str())]);
    let squashed = squashed.map_err(|error| not_the_same(&error.to_string()))?;
    let after = run(squashed).map_err(|error| match error {
        Error::Verification { what, .. } => not_the_same(&what),
        other => other,
    })?;
    let changes = changes(&before.schema.text, &after.schema.text);
    let names = changes.iter().map(|change| format!("{} {}", change.object, change.kind));
    let is_lost = |kept: &&Kept| !after.kept.contains(kept);
    let lost = before.kept.iter().filter(is_lost).map(|kept| format!("{} changed", kept.title));
    let is_new = |kept: &&Kept| before.kept.iter().all(|known| known.title != kept.title);
    let new = after.kept.iter().filter(is_new).map(|kept| format!("{} added", kept.title));
    let differences: Vec<_> = names.chain(lost).chain(new).chain(after.filled.iter().cloned()).collect();
    if !differences.is_empty() {
        return Err(not_the_same(&some(&differences)));
    }
    left_out.extend(set_in_file(migrations.dialect(), &chain));
    Ok(Squash { text, left_out })
}

fn last_of<'a>(migrations: &'a Migrations, to: &Version) -> Result<&'a Migration, Error> {
    migrations.get(to).ok_or_else(|| Error::Usage {
        what: format!("there is no migration with version {to}"),
        next: "`haul db status` lists the versions".into(),
    })
}

/// Fails if a statement changes something that is not in the database, which a trial would change too.
fn require_inside(dialect: Dialect, chain: &[&Migration]) -> Result<(), Error> {
    let leaves = |statement: &str| {
        // In the body of a function or a DO block, such words are most often that too.
        let is_hidden = |words: &str| statement.to_ascii_uppercase().contains(words);
        Keywords::of(dialect, statement).leaves_database(dialect)
            || is_hidden("CREATE ROLE")
            || is_hidden("CREATE USER")
    };
    match places_of(chain, leaves).as_slice() {
        [] => Ok(()),
        places => Err(Error::Usage {
            what: format!("these statements change roles, other databases or other files: {}", some(places)),
            next: "such migrations cannot be tried in a scratch database: squash up to a version before them".into(),
        }),
    }
}

fn about_privileges(dialect: Dialect, chain: &[&Migration]) -> Vec<String> {
    places_of(chain, |statement| dialect == Dialect::Postgres && Keywords::of(dialect, statement).is_about_privileges())
}

/// Finds settings of a SQLite file that only hold in the file itself, and are set while it has no transaction or no tables.
fn set_in_file(dialect: Dialect, chain: &[&Migration]) -> Vec<String> {
    places_of(chain, |statement| dialect == Dialect::Sqlite && Keywords::of(dialect, statement).sets_file())
}

/// Returns `FILE:LINE` of each statement that is meant.
fn places_of(chain: &[&Migration], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let mut places = Vec::new();
    for migration in chain {
        let found = migration.up.statements().filter(|(_, statement)| is_meant(statement));
        places.extend(found.map(|(line, _)| format!("{}:{line}", migration.up.file.display())));
    }
    places
}

/// Fails if the migrations make something that the text of the schema does not have.
fn require_all_in_schema(made: &Made) -> Result<(), Error> {
    const LEFT_OUT: &str = "-- left out\n";
    let refused = |what: String, next: &str| Err(Error::Verification { what, next: next.into(), source: None });
    if !made.filled.is_empty() {
        return refused(
            format!("a squashed file has no rows, and these migrations leave rows in {}", some(&made.filled)),
            "squash up to a version before them, or keep what fills tables in a migration behind it; --with-data puts the rows \
             of tables into the file",
        );
    }
    if let Some(table) = &made.beyond {
        return refused(
            format!("these migrations leave more rows than a squashed file should hold, up to those of {table}"),
            "name the tables whose rows belong into the file, as in --with-data=countries,currencies, and keep what fills the \
             others in a migration behind it",
        );
    }
    if let Some((_, unread)) = made.schema.text.split_once(LEFT_OUT) {
        let unread: Vec<_> = unread.lines().filter_map(|line| line.strip_prefix("-- ")).map(str::to_owned).collect();
        return refused(
            format!("the dump does not have all that these migrations make: {}", some(&unread)),
            "squash up to a version before them",
        );
    }
    if made.schema.text.is_empty() {
        return refused("these migrations leave nothing in the schema".into(), "remove their files");
    }
    Ok(())
}

fn text_of(name: &str, chain: &[&Migration], made: &Made) -> String {
    let label = name.trim_end_matches(".sql");
    let replaced = |migration: &&Migration| {
        Replaced { version: migration.version.clone(), checksum: migration.checksum.to_string() }.line()
    };
    let replaced: Vec<_> = chain.iter().map(replaced).collect();
    let kept = made.kept.iter().map(|kept| format!("\n-- {}\n{};\n", escaped(&kept.title), kept.sql));
    let body = format!("{}{}", made.schema.text, kept.collect::<String>());
    let directive = if body.contains("${") { "-- haul: no-placeholders\n" } else { "" };
    format!(
        "-- Migration: {label}\n-- Makes the schema of the migrations that it replaces. Written by haul {}.\n{}\n-- Up\n{directive}{body}",
        env!("CARGO_PKG_VERSION"),
        replaced.join("\n")
    )
}

fn not_the_same(what: &str) -> Error {
    Error::Verification {
        what: format!("the squashed file does not make the schema of the migrations: {what}; nothing was written"),
        next: "squash up to a version before what differs".into(),
        source: None,
    }
}

fn some(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
