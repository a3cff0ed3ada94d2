//! Reads a definition with all its scripts and queries.

use std::path::Path;

use super::check::{check, check_names};
use super::file::{SourceFiles, UPGRADE_FILE, line_at};
use super::lines::Lines;
use super::model::Definition;
use super::queries::ShapeSql;
use super::script::{Fault, changes, parse, single};
use crate::migration::Error;

const QUERY: [&str; 3] = ["SELECT", "WITH", "VALUES"];
const WRITE: [&str; 3] = ["INSERT", "UPDATE", "WITH"];

impl Definition {
    /// Reads `upgrade.toml` in a directory, and the files that it names.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        read(SourceFiles::in_directory(directory))
    }

    /// Reads a definition whose files are compiled into the program, as names and texts. `place` stands for their
    /// directory in messages.
    pub fn from_texts(place: &str, texts: &[(&str, &str)]) -> Result<Self, Error> {
        read(SourceFiles::in_memory(place, texts))
    }
}

fn read(mut files: SourceFiles<'_>) -> Result<Definition, Error> {
    let text = files.read(UPGRADE_FILE, 0)?;
    let mut definition: Definition = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| line_at(text.as_bytes(), span.start));
        files.fault(UPGRADE_FILE, line, error.message())
    })?;
    let lines = Lines::of(&text);
    check_names(&definition, &lines).map_err(|(line, what)| files.fault(UPGRADE_FILE, line, what))?;
    read_scripts(&mut definition, &mut files, &lines)?;
    read_rebuilds(&mut definition, &mut files, &lines)?;
    read_queries(&mut definition, &mut files, &lines)?;
    check(&definition, &lines).map_err(|(line, what)| files.fault(UPGRADE_FILE, line, what))?;
    definition.sha256 = files.sha256();
    Ok(definition)
}

fn read_scripts(definition: &mut Definition, files: &mut SourceFiles<'_>, lines: &Lines) -> Result<(), Error> {
    let tiers: Vec<_> = definition.tiers.iter().map(|tier| tier.name.clone()).collect();
    for (index, group) in definition.groups.iter_mut().enumerate() {
        let line = lines.item("group", index);
        for name in &group.scripts {
            let text = files.read(name, line)?;
            let script = parse(name, &text).map_err(|(line, what)| files.fault(name, line, what))?;
            if let Some(unknown) = script.tiers.iter().find(|tier| !tiers.contains(tier)) {
                return Err(files.fault(
                    name,
                    1,
                    format!("its header names the tier `{unknown}`, which is not declared"),
                ));
            }
            group.parsed.push(script);
        }
    }
    Ok(())
}

fn read_queries(definition: &mut Definition, files: &mut SourceFiles<'_>, lines: &Lines) -> Result<(), Error> {
    for (index, view) in definition.views.iter_mut().enumerate() {
        let line = lines.item("view", index);
        view.selects.iter_mut().try_for_each(|of| fill(&mut of.sql, of.file.as_deref(), &QUERY, files, line))?;
    }
    let mut all = |list: &mut [ShapeSql], heads: &[&str], key: &str, index: usize| {
        let line = lines.item(key, index);
        list.iter_mut().try_for_each(|of| fill(&mut of.sql, of.file.as_deref(), heads, files, line))
    };
    for (index, measure) in definition.measures.iter_mut().enumerate() {
        all(&mut measure.selects, &QUERY, "measure", index)?;
    }
    for (index, backfill) in definition.backfills.iter_mut().enumerate() {
        all(&mut backfill.rows, &QUERY, "backfill", index)?;
        all(std::slice::from_mut(&mut backfill.write), &WRITE, "backfill", index)?;
        all(&mut backfill.write_for, &WRITE, "backfill", index)?;
    }
    for (index, query) in definition.queries.iter_mut().enumerate() {
        all(&mut query.selects, &QUERY, "query", index)?;
    }
    let alone = definition.expectations.iter_mut().map(|of| &mut of.sql).enumerate().map(|at| ("expectation", at));
    let metrics = definition.flags.iter_mut().enumerate();
    let metrics = metrics.filter_map(|(index, flag)| Some(("flag", (index, &mut flag.metric.as_mut()?.sql))));
    let monitors = definition.monitors.iter_mut().map(|of| &mut of.sql).enumerate().map(|at| ("monitor", at));
    for (key, (index, sql)) in alone.chain(metrics).chain(monitors) {
        fill(sql, None, &QUERY, files, lines.item(key, index))?;
    }
    Ok(())
}

fn read_rebuilds(definition: &mut Definition, files: &mut SourceFiles<'_>, lines: &Lines) -> Result<(), Error> {
    for (index, rebuild) in definition.rebuilds.iter_mut().enumerate() {
        let line = lines.item("rebuild", index);
        rebuild.sql = text_of(&rebuild.sql, rebuild.file.as_deref(), files, line)?;
        rebuild.statements =
            changes(&rebuild.sql).map_err(|fault| sql_fault(fault, rebuild.file.as_deref(), files, line))?;
        for same in &mut rebuild.same {
            fill(&mut same.before, None, &QUERY, files, line)?;
            fill(&mut same.after, None, &QUERY, files, line)?;
        }
    }
    Ok(())
}

/// Takes SQL from its file, if it has one, and leaves one statement without a semicolon. `line` is that of its item in
/// `upgrade.toml`.
fn fill(
    sql: &mut String,
    file: Option<&str>,
    heads: &[&str],
    files: &mut SourceFiles<'_>,
    line: u64,
) -> Result<(), Error> {
    let text = text_of(sql, file, files, line)?;
    *sql = single(&text, heads).map_err(|fault| sql_fault(fault, file, files, line))?;
    Ok(())
}

/// Returns SQL that stands in `upgrade.toml` or in a file.
fn text_of(sql: &str, file: Option<&str>, files: &mut SourceFiles<'_>, line: u64) -> Result<String, Error> {
    match file {
        Some(name) if sql.is_empty() => files.read(name, line),
        Some(name) => {
            Err(files.fault(UPGRADE_FILE, line, format!("it has `sql` and the file `{name}`: one is enough")))
        }
        None if sql.is_empty() => Err(files.fault(UPGRADE_FILE, line, "it has neither `sql` nor `file`")),
        None => Ok(sql.to_owned()),
    }
}

fn sql_fault((at, what): Fault, file: Option<&str>, files: &SourceFiles<'_>, line: u64) -> Error {
    match file {
        Some(name) => files.fault(name, at, what),
        None => files.fault(UPGRADE_FILE, line, format!("its SQL: {what}")),
    }
}
