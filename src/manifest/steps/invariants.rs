//! The invariants that must hold for the output, read back (§11).

use super::step::Touch;
use crate::manifest::document::error_codes::Code;
use crate::manifest::document::header::{HISTORY, VERSION};
use crate::manifest::document::json::{
    Document, Kind, Layout, NodeId, Numbers, Value, first_difference, is_equal, push_layout,
};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::verdict::Refusal;

/// Checks `after` against `before`, from which steps with these `touches` made it: the seven invariants as far as they
/// are a function of the two documents. Taking back what the steps declare must give the document before; that is also
/// what a rollback checks of breaking steps. Both documents are edited, their roots stay as they are.
pub fn check(
    before: &mut Document<'_>,
    before_root: NodeId,
    after: &mut Document<'_>,
    touches: &[&Touch],
    numbers: Numbers,
) -> Result<(), Refusal> {
    check_identity(before.value(before_root), after.root(), touches, numbers)?;
    let stages = stages(before, before_root, touches)?;
    let old = before.value(before_root);
    let mut reverted = Reverted { root: after.root().id(), document: after, old, numbers };
    for (touch, stage) in touches.iter().zip(stages).rev() {
        reverted.take_back(touch, before.value(stage))?;
    }
    reverted.take_back_version()?;
    reverted.take_back_history()?;
    match first_difference(old, reverted.document.value(reverted.root), numbers) {
        None => Ok(()),
        Some(name) if old.get(&name).is_none() => Err(drift(&format!("{name} was added"))),
        Some(name) => Err(Refusal::new(
            Code::Compatibility,
            format!("the output does not read as the input: {name} is not what it was, and no step declares it"),
        )),
    }
}

/// The old document before each touch, as far as the declarations tell: what they set is null.
fn stages(before: &mut Document<'_>, root: NodeId, touches: &[&Touch]) -> Result<Vec<NodeId>, Refusal> {
    let mut root = root;
    let mut stages = Vec::with_capacity(touches.len());
    for touch in touches {
        stages.push(root);
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
                None => before.graft("null")?,
            };
            let changed = before.with(root, path, value)?;
            root = changed.ok_or_else(|| drift(&format!("{path} is in no object")))?;
        }
    }
    Ok(stages)
}

/// Members that say whose run it is and what went into it, and the code if one of them is not what it was.
pub(crate) const IDENTITY: [(&str, Code); 5] = [
    ("input_snapshots", Code::InputSnapshots),
    ("run_id", Code::RunId),
    ("job_id", Code::JobId),
    ("job_ref", Code::JobId),
    ("doctrine", Code::Doctrine),
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
            return Err(Refusal::new(code, format!("{name} is not what it was")));
        }
    }
    Ok(())
}

fn drift(what: &str) -> Refusal {
    Refusal::new(Code::Drift, format!("the output has a change that no step declares: {what}"))
}

/// The new document, while what the steps did is taken back.
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
        self.root = root.ok_or_else(|| drift(&format!("{} is no object", path[0])))?;
        Ok(())
    }

    /// Takes back one touch of a document that was `stage` before it.
    fn take_back(&mut self, touch: &Touch, stage: Value<'_>) -> Result<(), Refusal> {
        match touch {
            Touch::Add { path, .. } if stage.at_path(path).is_some() => Ok(()),
            Touch::Add { path, .. } if self.new_at(path).is_none() => {
                Err(Refusal::new(Code::Drift, format!("{path} was to be added, and is not there")))
            }
            Touch::Add { path, .. } => self.remove_with_parents(path, stage),
            Touch::Fill(path) => match stage.at_path(path).map(Value::kind) {
                None | Some(Kind::Null) => self.restore(path, stage),
                Some(_) => Ok(()),
            },
            Touch::Remove(path) if self.new_at(path).is_some() => {
                Err(drift(&format!("{path} was to be removed, and is there")))
            }
            Touch::Remove(path) | Touch::Overwrite(path) => self.restore(path, stage),
            Touch::Rename { from, to } => self.take_back_renaming(from, to, stage),
        }
    }

    /// Removes `path` and the objects around it that are empty then and were not there before.
    fn remove_with_parents(&mut self, path: &[String], stage: Value<'_>) -> Result<(), Refusal> {
        self.remove(path)?;
        for len in (1..path.len()).rev() {
            let parent = &path[..len];
            let is_empty = self.new_at(parent).is_some_and(|value| value.members().len() == 0);
            if !is_empty || stage.at_path(parent).is_some() {
                break;
            }
            self.remove(parent)?;
        }
        Ok(())
    }

    fn take_back_renaming(&mut self, from: &KeyPath, to: &KeyPath, stage: Value<'_>) -> Result<(), Refusal> {
        if stage.at_path(from).is_none() || stage.at_path(to).is_some() {
            return Ok(());
        }
        let Some(value) = self.new_at(to).map(Value::id).filter(|_| self.new_at(from).is_none()) else {
            return Err(drift(&format!("{from} was to become {to}, and did not")));
        };
        self.remove_with_parents(to, stage)?;
        self.set(from, value)
    }

    /// What was at `path` before comes back, or nothing if nothing was.
    fn restore(&mut self, path: &[String], stage: Value<'_>) -> Result<(), Refusal> {
        let Some(value) = stage.at_path(path) else { return self.remove_with_parents(path, stage) };
        let mut json = Vec::new();
        push_layout(&mut json, value, Layout { numbers: Numbers::Lexemes, final_newline: false });
        let json = String::from_utf8(json).expect("what is written is UTF-8");
        let value = self.document.graft(&json)?;
        self.set(path, value)
    }

    fn take_back_version(&mut self) -> Result<(), Refusal> {
        self.restore(&[VERSION.to_owned()], self.old)
    }

    /// One record goes from the end of the history.
    fn take_back_history(&mut self) -> Result<(), Refusal> {
        let path = [HISTORY.to_owned()];
        let old_len = self.old.get(HISTORY).map_or(0, |history| history.items().len());
        let new = self.document.value(self.root).get(HISTORY).filter(|history| history.kind() == Kind::Array);
        let Some(history) = new.filter(|history| history.items().len() == old_len + 1).map(Value::id) else {
            return Err(drift("migration_history did not grow by one record"));
        };
        if self.old.get(HISTORY).is_none() {
            return self.remove(&path);
        }
        let shorter = self.document.without_last_item(history);
        let is_prefix =
            self.old.get(HISTORY).is_some_and(|old| is_equal(old, self.document.value(shorter), self.numbers));
        if !is_prefix {
            return Err(drift("an older record of migration_history is not what it was"));
        }
        self.set(&path, shorter)
    }
}
