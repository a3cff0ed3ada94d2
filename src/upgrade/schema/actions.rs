//! Decides what each statement of an upgrade has to do in a database, by comparing definitions and not names.

use std::collections::BTreeSet;
use std::fmt;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::fault::Place;
use super::form::{Form, column_lines, table_clauses};
use super::head::{Head, ObjectKind};
use super::scratch::{empty, schema_copy};
use crate::migration::Error;
use crate::upgrade::definition::{Definition, Script, ScriptStatement};
use crate::upgrade::facts::{hex, quoted};
use crate::upgrade::set::Member;

/// What a statement has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make the object.
    Create,
    /// Make it with this name, as its own is taken.
    CreateAs(String),
    /// Nothing: it is there.
    AlreadyThere,
    /// Nothing: it is there with this name, as its own is taken.
    AlreadyThereAs(String),
    /// It cannot be made: something else has its name. Holds how that differs.
    Conflict(String),
}

/// A statement, and what it has to do in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The file that holds it.
    pub script: String,
    /// The line in the file.
    pub line: u64,
    /// What it makes.
    pub head: Head,
    /// What it has to do.
    pub decision: Decision,
    /// The statement to run.
    pub sql: String,
}

impl Action {
    /// Returns true if the statement has to run.
    pub fn runs(&self) -> bool {
        matches!(self.decision, Decision::Create | Decision::CreateAs(_))
    }

    /// The name that the object has or gets.
    pub fn name(&self) -> &str {
        match &self.decision {
            Decision::CreateAs(name) | Decision::AlreadyThereAs(name) => name,
            _ => &self.head.name,
        }
    }

    /// What the statement makes, for people: `index i`, `column t.c`.
    pub fn object(&self) -> String {
        let Head { kind, name, table, .. } = &self.head;
        match kind {
            ObjectKind::Column => format!("column {table}.{name}"),
            kind => format!("{} {name}", kind.word()),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = self.object();
        match &self.decision {
            Decision::Create if self.head.kind == ObjectKind::Column => write!(f, "add {object}"),
            Decision::Create => write!(f, "create {object}"),
            Decision::CreateAs(name) => write!(f, "create {object} as {name}: the name is taken"),
            Decision::AlreadyThere => write!(f, "skip {object}: it is there"),
            Decision::AlreadyThereAs(name) => write!(f, "skip {object}: it is there as {name}"),
            Decision::Conflict(what) => write!(f, "conflict: {object}: {what}"),
        }
    }
}

/// A group in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupActions {
    /// Its name.
    pub name: String,
    /// SHA-256 of those of its scripts that concern the database.
    pub sha256: String,
    /// Its statements, in order.
    pub actions: Vec<Action>,
}

/// Returns the groups that concern a database, in order, with what each statement has to do. Every statement that has to
/// run is tried on a copy of the schema.
pub fn group_actions(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
) -> Result<Vec<GroupActions>, Error> {
    let place = Place::new(connection, member, "schema");
    let scratch = schema_copy(connection).map_err(|error| place.error("copy of the schema", error))?;
    let of_member = definition.groups_of(member);
    let concerned: Vec<&Script> = of_member.iter().flat_map(|(_, scripts)| scripts.iter().copied()).collect();
    let mut decider =
        Decider { connection, scratch: &scratch, concerned: &concerned, place: &place, conflicts: BTreeSet::new() };
    let mut groups = Vec::new();
    for (group, scripts) in &of_member {
        let (mut hasher, mut actions, mut is_concerned) = (Sha256::new(), Vec::new(), false);
        for script in scripts {
            if !decider.has_table(script)? {
                continue;
            }
            is_concerned = true;
            hasher.update(format!("{}\0{}\0", script.name, script.text));
            for statement in &script.statements {
                actions.push(decider.action(script, statement)?);
            }
        }
        if is_concerned {
            groups.push(GroupActions { name: group.name.clone(), sha256: hex(&hasher.finalize()), actions });
        }
    }
    Ok(groups)
}

struct Decider<'a> {
    connection: &'a Connection,
    scratch: &'a Connection,
    concerned: &'a [&'a Script],
    place: &'a Place,
    /// Tables that have another definition: nothing can be said of what belongs to them.
    conflicts: BTreeSet<String>,
}

impl Decider<'_> {
    fn existing(&self, kind: ObjectKind, name: &str) -> rusqlite::Result<Option<Form>> {
        match Form::of(self.connection, kind, name)? {
            None => Form::of(self.scratch, kind, name),
            found => Ok(found),
        }
    }

    /// Returns true if a script names no table, or one that is there.
    fn has_table(&self, script: &Script) -> Result<bool, Error> {
        let Some(table) = &script.table else { return Ok(true) };
        let form = self.existing(ObjectKind::Table, table).map_err(|error| self.place.error(table, error))?;
        Ok(form.is_some_and(|form| form.kind == "table"))
    }

    fn action(&mut self, script: &Script, statement: &ScriptStatement) -> Result<Action, Error> {
        let at = format!("{} line {}", script.name, statement.line);
        let Some(head) = Head::of(&statement.text) else {
            return Err(self.place.unfit(format!("{at}: a script may not hold this statement")));
        };
        let decision = match head.kind {
            _ if self.conflicts.contains(&head.table) => {
                Ok(Decision::Conflict("its table has another definition".into()))
            }
            ObjectKind::Table => self.table(&head, &statement.text),
            ObjectKind::Index => self.index(&head, &statement.text),
            ObjectKind::Column => self.column(&head, &statement.text),
            kind => self.other(kind, &head, &statement.text),
        };
        let decision = decision.map_err(|error| self.place.error(&at, error))?;
        let mut sql = statement.text.clone();
        if let Decision::CreateAs(name) = &decision {
            sql.replace_range(head.name_range.clone(), &quoted(name));
        }
        let action = Action { script: script.name.clone(), line: statement.line, head, decision, sql };
        if matches!(action.decision, Decision::Conflict(_)) {
            self.conflicts.insert(action.head.table.clone());
        }
        if action.runs() {
            self.scratch.execute_batch(&action.sql).map_err(|error| self.place.error(&at, error))?;
        }
        Ok(action)
    }

    /// A table may already have columns that later statements of the upgrade add.
    fn table(&self, head: &Head, sql: &str) -> rusqlite::Result<Decision> {
        let Some(found) = self.existing(head.kind, &head.name)? else { return Ok(Decision::Create) };
        let alone = empty()?;
        alone.execute_batch(sql)?;
        let form = || Form::of(&alone, head.kind, &head.name);
        let wanted = form()?;
        let mut is_wanted = Some(&found) == wanted.as_ref();
        for statement in self.concerned.iter().flat_map(|script| &script.statements) {
            let is_added = |head: &Head| head.kind == ObjectKind::Column;
            let adds = Head::of(&statement.text).filter(is_added).is_some_and(|added| added.table == head.table);
            if adds && !is_wanted {
                alone.execute_batch(&statement.text)?;
                is_wanted = Some(&found) == form()?.as_ref();
            }
        }
        Ok(if is_wanted { Decision::AlreadyThere } else { conflict(&found, wanted.as_ref()) })
    }

    fn index(&self, head: &Head, sql: &str) -> rusqlite::Result<Decision> {
        let wanted = Form::of_text(head.kind, sql);
        let mut number = 1;
        loop {
            let is_own = number == 1;
            let name = if is_own { head.name.clone() } else { format!("{}_{number}", head.name) };
            match self.existing(head.kind, &name)? {
                None if is_own => return Ok(Decision::Create),
                None => return Ok(Decision::CreateAs(name)),
                Some(found) if found == wanted && is_own => return Ok(Decision::AlreadyThere),
                Some(found) if found == wanted => return Ok(Decision::AlreadyThereAs(name)),
                Some(_) => number += 1,
            }
        }
    }

    fn column(&self, head: &Head, sql: &str) -> rusqlite::Result<Decision> {
        let own = |lines: Vec<(String, String)>| {
            lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(&head.name)).map(|(_, line)| line)
        };
        let Some(line) = own(column_lines(self.scratch, &head.table)?) else { return Ok(Decision::Create) };
        let alone = empty()?;
        alone.execute_batch(&format!("CREATE TABLE {} (haul_first)", quoted(&head.table)))?;
        alone.execute_batch(sql)?;
        let mut found: BTreeSet<String> = table_clauses(self.scratch, &head.table)?;
        let mut wanted = table_clauses(&alone, &head.table)?;
        found.insert(line);
        wanted.extend(own(column_lines(&alone, &head.table)?));
        let missing: Vec<_> = wanted.difference(&found).cloned().collect();
        let what = || format!("it exists with another definition: it lacks {}", missing.join("; "));
        Ok(if missing.is_empty() { Decision::AlreadyThere } else { Decision::Conflict(what()) })
    }

    fn other(&self, kind: ObjectKind, head: &Head, sql: &str) -> rusqlite::Result<Decision> {
        let Some(found) = self.existing(kind, &head.name)? else { return Ok(Decision::Create) };
        let wanted = Form::of_text(kind, sql);
        Ok(if found == wanted { Decision::AlreadyThere } else { conflict(&found, Some(&wanted)) })
    }
}

fn conflict(found: &Form, wanted: Option<&Form>) -> Decision {
    Decision::Conflict(
        wanted
            .map(|wanted| format!("it exists with another definition: {}", found.difference(wanted)))
            .unwrap_or_default(),
    )
}
