//! The invariants of a migrated document (docs/source-sigilzero.md, "Invariants"). They are checked on the output
//! bytes, parsed again, so a fault of a step or of the writer cannot reach the disk.

use super::step::Touch;
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::fields::{HISTORY, VERSION};
use crate::manifest::document::json::{
    Document, Formatting, Kind, NodeId, Numbers, Value, first_difference, is_equal, push_formatted,
};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::verdict::Refusal;

/// Checks the invariants between `before` and `after`, which steps with these `touches` made of it.
///
/// Undoing what the steps declare must give the document before. A rollback of breaking steps makes the same check.
/// Values are added to both documents, but their roots stay valid.
pub fn check(
    before: &mut Document<'_>,
    before_root: NodeId,
    after: &mut Document<'_>,
    touches: &[&Touch],
    numbers: Numbers,
) -> Result<(), Refusal> {
    check_identity(before.value(before_root), after.root(), touches, numbers)?;
    // Touches are undone from the last to the first, and each needs to know what was there before it.
    let states = states_before(before, before_root, touches)?;
    let old = before.value(before_root);
    let mut reverted = Reverted { root: after.root().id(), document: after, old, numbers };
    for (touch, state) in touches.iter().zip(states).rev() {
        reverted.undo(touch, before.value(state))?;
    }
    reverted.restore_version()?;
    reverted.remove_new_record()?;
    match first_difference(old, reverted.document.value(reverted.root), numbers) {
        None => Ok(()),
        Some(name) if old.get(&name).is_none() => Err(undeclared_change(&format!("{name} was added"))),
        Some(name) => Err(Refusal::new(
            ErrorCode::Compatibility,
            format!("the output with the steps undone is not the input: {name} differs, and no step declares it"),
        )),
    }
}

/// Returns the states of the old document before each touch, as far as the declarations tell. A value that a touch sets
/// is null in the states after it.
fn states_before(before: &mut Document<'_>, root: NodeId, touches: &[&Touch]) -> Result<Vec<NodeId>, Refusal> {
    let mut root = root;
    let mut states = Vec::with_capacity(touches.len());
    for touch in touches {
        states.push(root);
        let is_there = |path: &KeyPath| before.value(root).at_path(path).is_some();
        let (removed, set) = match touch {
            Touch::Add { path, .. } => (None, (!is_there(path)).then_some(path)),
            Touch::Fill(path) | Touch::Overwrite(path) => (None, Some(path)),
            Touch::Remove(path) => (Some(path), None),
            Touch::Rename { from, to } if is_there(from) && !is_there(to) => (Some(from), Some(to)),
            Touch::Rename { .. } => (None, None),
        };
        let moved = removed.and_then(|path| before.value(root).at_path(path)).map(Value::id);
        if let Some(path) = removed {
            root = before.without(root, path)?;
        }
        if let Some(path) = set {
            let value = match moved {
                Some(value) => value,
                None => before.parse_fragment("null")?,
            };
            let changed = before.with(root, path, value)?;
            root = changed.ok_or_else(|| undeclared_change(&format!("the parent of {path} is not an object")))?;
        }
    }
    Ok(states)
}

/// The members that identify the run and its inputs, with the code of the refusal if one of them changes.
pub(in crate::manifest) const IDENTITY: [(&str, ErrorCode); 5] = [
    ("input_snapshots", ErrorCode::InputSnapshots),
    ("run_id", ErrorCode::RunId),
    ("job_id", ErrorCode::JobId),
    ("job_ref", ErrorCode::JobId),
    ("doctrine", ErrorCode::Doctrine),
];

fn check_identity(old: Value<'_>, new: Value<'_>, touches: &[&Touch], numbers: Numbers) -> Result<(), Refusal> {
    for (name, code) in IDENTITY {
        let is_same = match (old.get(name), new.get(name)) {
            (None, None) => true,
            (None, Some(_)) => touches.iter().flat_map(|touch| touch.paths()).any(|path| path[0] == name),
            (Some(old), Some(new)) => is_equal(old, new, numbers),
            (Some(_), None) => false,
        };
        if !is_same {
            return Err(Refusal::new(code, format!("{name} changed")));
        }
    }
    Ok(())
}

fn undeclared_change(what: &str) -> Refusal {
    Refusal::new(ErrorCode::Drift, format!("the output has a change that no step declares: {what}"))
}

/// The new document, in which the steps are undone one by one.
struct Reverted<'r, 'a> {
    document: &'r mut Document<'a>,
    root: NodeId,
    old: Value<'r>,
    numbers: Numbers,
}

impl Reverted<'_, '_> {
    fn new_at(&self, path: &[String]) -> Option<Value<'_>> {
        self.document.value(self.root).at_path(path)
    }

    fn remove(&mut self, path: &[String]) -> Result<(), Refusal> {
        self.root = self.document.without(self.root, path)?;
        Ok(())
    }

    fn set(&mut self, path: &[String], value: NodeId) -> Result<(), Refusal> {
        let root = self.document.with(self.root, path, value)?;
        self.root = root.ok_or_else(|| undeclared_change(&format!("{} is not an object", path[0])))?;
        Ok(())
    }

    /// Undoes one touch. `before` is the state of the document before it.
    fn undo(&mut self, touch: &Touch, before: Value<'_>) -> Result<(), Refusal> {
        match touch {
            Touch::Add { path, .. } if before.at_path(path).is_some() => Ok(()),
            Touch::Add { path, .. } if self.new_at(path).is_none() => {
                Err(Refusal::new(ErrorCode::Drift, format!("{path} should have been added, but is missing")))
            }
            Touch::Add { path, .. } => self.remove_with_parents(path, before),
            Touch::Fill(path) => match before.at_path(path).map(Value::kind) {
                None | Some(Kind::Null) => self.restore(path, before),
                Some(_) => Ok(()),
            },
            Touch::Remove(path) if self.new_at(path).is_some() => {
                Err(undeclared_change(&format!("{path} should have been removed, but exists")))
            }
            Touch::Remove(path) | Touch::Overwrite(path) => self.restore(path, before),
            Touch::Rename { from, to } => self.undo_rename(from, to, before),
        }
    }

    /// Removes `path`, and those of its parents that become empty and did not exist before.
    fn remove_with_parents(&mut self, path: &[String], before: Value<'_>) -> Result<(), Refusal> {
        self.remove(path)?;
        for len in (1..path.len()).rev() {
            let parent = &path[..len];
            let is_empty = self.new_at(parent).is_some_and(|value| value.members().len() == 0);
            if !is_empty || before.at_path(parent).is_some() {
                break;
            }
            self.remove(parent)?;
        }
        Ok(())
    }

    fn undo_rename(&mut self, from: &KeyPath, to: &KeyPath, before: Value<'_>) -> Result<(), Refusal> {
        if before.at_path(from).is_none() || before.at_path(to).is_some() {
            return Ok(());
        }
        let Some(value) = self.new_at(to).map(Value::id).filter(|_| self.new_at(from).is_none()) else {
            return Err(undeclared_change(&format!("{from} should have been renamed to {to}, but was not")));
        };
        self.remove_with_parents(to, before)?;
        self.set(from, value)
    }

    /// Restores what was at `path` before, be it a value or nothing.
    fn restore(&mut self, path: &[String], before: Value<'_>) -> Result<(), Refusal> {
        let Some(value) = before.at_path(path) else { return self.remove_with_parents(path, before) };
        let mut json = Vec::new();
        push_formatted(&mut json, value, Formatting { numbers: Numbers::Lexemes, final_newline: false });
        let json = String::from_utf8(json).expect("what is written is UTF-8");
        let value = self.document.parse_fragment(&json)?;
        self.set(path, value)
    }

    fn restore_version(&mut self) -> Result<(), Refusal> {
        self.restore(&[VERSION.to_owned()], self.old)
    }

    /// Removes the last record of the history, which must be the only new one.
    fn remove_new_record(&mut self) -> Result<(), Refusal> {
        let path = [HISTORY.to_owned()];
        let old_len = self.old.get(HISTORY).map_or(0, |history| history.items().len());
        let new = self.document.value(self.root).get(HISTORY).filter(|history| history.kind() == Kind::Array);
        let Some(history) = new.filter(|history| history.items().len() == old_len + 1).map(Value::id) else {
            return Err(undeclared_change("migration_history did not grow by one record"));
        };
        if self.old.get(HISTORY).is_none() {
            return self.remove(&path);
        }
        let shorter = self.document.without_last_item(history);
        let is_prefix =
            self.old.get(HISTORY).is_some_and(|old| is_equal(old, self.document.value(shorter), self.numbers));
        if !is_prefix {
            return Err(undeclared_change("an older record of migration_history changed"));
        }
        self.set(&path, shorter)
    }
}
