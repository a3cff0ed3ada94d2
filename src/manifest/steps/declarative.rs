//! Steps that a step file declares (docs/source-sigilzero.md, "Declared steps"). The file is checked as a whole before
//! any manifest is opened.

use std::sync::Arc;

use super::step::{Step, Touch};
use super::step_file::{Rename, StepFile, StepTable, json_text};
use crate::manifest::document::edit::Edit;
use crate::manifest::document::fields::{HISTORY, VERSION};
use crate::manifest::document::inputs_hash;
use crate::manifest::document::json::{Document, ReadOptions, Value};
use crate::manifest::document::json_schema::JsonSchema;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::{ValueType, canonical_text};
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;

/// An operation of a declared step. A step applies them in this order.
#[derive(Debug)]
enum Operation {
    Require(KeyPath),
    Rename { from: KeyPath, to: KeyPath },
    Add { path: KeyPath, json: String, value_type: ValueType },
    Copy { from: KeyPath, to: KeyPath, value_type: ValueType },
    InputsHash(KeyPath),
    Overwrite { path: KeyPath, json: String },
    Remove(KeyPath),
}

/// A step that a step file declares.
struct DeclarativeStep {
    from: Version,
    to: Version,
    changes: Vec<String>,
    operations: Vec<Operation>,
    schema: Option<JsonSchema>,
}

/// Members that no declared step may change: the two that every migration sets itself, and those of the invariants 1 to
/// 4 (docs/source-sigilzero.md, "Invariants").
const PROTECTED: [&str; 7] = [VERSION, HISTORY, "run_id", "job_id", "job_ref", "doctrine", "input_snapshots"];

/// Compiles the steps of a file. `read_schema` reads the schema files that it names. The error names the step.
pub(super) fn compile(
    text: &str,
    read_schema: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Vec<Arc<dyn Step>>, String> {
    let file: StepFile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    if file.step.is_empty() {
        return Err("no [[step]] is declared".into());
    }
    let named = |declared: StepTable| {
        let name = format!("step {} → {}", declared.from, declared.to);
        let compiled = DeclarativeStep::new(declared, read_schema).map_err(|what| format!("{name}: {what}"))?;
        Ok(Arc::new(compiled) as Arc<dyn Step>)
    };
    file.step.into_iter().map(named).collect()
}

impl DeclarativeStep {
    fn new(declared: StepTable, read_schema: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<Self, String> {
        check_breaking(&declared)?;
        if declared.changes.is_empty() {
            return Err("`changes` is empty: the history record would not describe the step".into());
        }
        let schema = declared.schema.as_deref().map(|name| {
            let bytes = read_schema(name)?;
            JsonSchema::new(name, &bytes)
        });
        let step = Self {
            from: declared.from,
            to: declared.to,
            operations: operations(&declared)?,
            schema: schema.transpose()?,
            changes: declared.changes,
        };
        step.check_paths()?;
        Ok(step)
    }

    /// Checks that no path is protected, and that no two operations change the same value.
    fn check_paths(&self) -> Result<(), String> {
        let touches = self.touches();
        let paths: Vec<_> = touches.iter().flat_map(Touch::paths).collect();
        for (at, path) in paths.iter().enumerate() {
            if PROTECTED.contains(&&*path[0]) {
                let why = "it identifies the run and its inputs, or haul sets it itself (invariants 1 to 4)";
                return Err(format!("no step may change {path}: {why}"));
            }
            if let Some(other) = paths[..at].iter().find(|other| path.is_within(other) || other.is_within(path)) {
                return Err(format!("two operations change {path} and {other}"));
            }
        }
        Ok(())
    }
}

fn check_breaking(declared: &StepTable) -> Result<(), String> {
    let StepTable { rename, remove, overwrite, inverse, breaking, from, to, .. } = declared;
    let is_breaking = !(rename.is_empty() && remove.is_empty() && overwrite.is_empty());
    if !is_breaking {
        let has_inverse = !(inverse.rename.is_empty() && inverse.restore.is_empty());
        return if has_inverse {
            Err("`inverse` undoes an operation that the step does not have".into())
        } else {
            Ok(())
        };
    }
    if !breaking {
        return Err("rename, remove and overwrite need `breaking = true`".into());
    }
    if to.major <= from.major {
        return Err(format!("a breaking step needs a new major version: at least {}.0.0", from.major + 1));
    }
    let back = |step: &Rename| Rename { from: step.to.clone(), to: step.from.clone() };
    let is_inverse =
        rename.iter().all(|step| inverse.rename.contains(&back(step))) && inverse.rename.len() == rename.len();
    if !is_inverse {
        return Err("`inverse.rename` must name each renaming in the other direction".into());
    }
    let mut lost: Vec<_> = remove.iter().chain(overwrite.iter().map(|operation| &operation.path)).collect();
    let mut restored: Vec<_> = inverse.restore.iter().collect();
    lost.sort_unstable();
    restored.sort_unstable();
    if lost != restored {
        return Err("`inverse.restore` must name each path that is removed or overwritten".into());
    }
    Ok(())
}

fn operations(declared: &StepTable) -> Result<Vec<Operation>, String> {
    let mut operations: Vec<_> = declared.require.iter().cloned().map(Operation::Require).collect();
    operations.extend(declared.rename.iter().cloned().map(|step| Operation::Rename { from: step.from, to: step.to }));
    for add in &declared.add {
        let at = |what: String| format!("{}: {what}", add.path);
        let json = json_text(add.value.as_ref(), add.json.as_deref()).map_err(at)?;
        let one_of = add.one_of.iter().map(|value| canonical_json(&json_text(Some(value), None)?));
        let one_of = one_of.collect::<Result<_, String>>().map_err(at)?;
        let value_type = ValueType::Declared { types: add.types.list(), one_of };
        check_value(&json, &value_type).map_err(at)?;
        operations.push(Operation::Add { path: add.path.clone(), json, value_type });
    }
    operations.extend(declared.copy.iter().map(|copy| {
        let value_type = ValueType::Declared { types: copy.types.list(), one_of: Vec::new() };
        Operation::Copy { from: copy.from.clone(), to: copy.to.clone(), value_type }
    }));
    operations.extend(declared.inputs_hash.iter().cloned().map(Operation::InputsHash));
    for overwrite in &declared.overwrite {
        let at = |what: String| format!("{}: {what}", overwrite.path);
        let json = json_text(overwrite.value.as_ref(), overwrite.json.as_deref()).map_err(at)?;
        check_value(&json, &ValueType::Any).map_err(at)?;
        operations.push(Operation::Overwrite { path: overwrite.path.clone(), json });
    }
    operations.extend(declared.remove.iter().cloned().map(Operation::Remove));
    Ok(operations)
}

fn with_value<T>(json: &str, take: impl FnOnce(Value<'_>) -> T) -> Result<T, String> {
    let document = Document::parse(json.as_bytes(), &ReadOptions::default()).map_err(|fault| fault.to_string())?;
    Ok(take(document.root()))
}

fn canonical_json(json: &str) -> Result<String, String> {
    with_value(json, canonical_text)
}

fn check_value(json: &str, value_type: &ValueType) -> Result<(), String> {
    with_value(json, |value| value_type.check(value))?.map_err(|_| format!("its value is not {}", value_type.name()))
}

impl Step for DeclarativeStep {
    fn from(&self) -> Version {
        self.from
    }

    fn to(&self) -> Version {
        self.to
    }

    fn changes(&self) -> Vec<String> {
        self.changes.clone()
    }

    fn touches(&self) -> Vec<Touch> {
        let touch = |operation: &Operation| match operation {
            Operation::Require(_) => None,
            Operation::Add { path, value_type, .. } | Operation::Copy { to: path, value_type, .. } => {
                Some(Touch::Add { path: path.clone(), value_type: value_type.clone() })
            }
            Operation::InputsHash(path) => Some(Touch::Fill(path.clone())),
            Operation::Rename { from, to } => Some(Touch::Rename { from: from.clone(), to: to.clone() }),
            Operation::Overwrite { path, .. } => Some(Touch::Overwrite(path.clone())),
            Operation::Remove(path) => Some(Touch::Remove(path.clone())),
        };
        self.operations.iter().filter_map(touch).collect()
    }

    fn requires(&self) -> Vec<(KeyPath, ValueType)> {
        let required = |operation: &Operation| match operation {
            Operation::Require(path) => Some((path.clone(), ValueType::Any)),
            Operation::Copy { from: path, value_type, .. } => Some((path.clone(), value_type.clone())),
            _ => None,
        };
        self.operations.iter().filter_map(required).collect()
    }

    fn apply(&self, edit: &mut Edit<'_, '_>) -> Result<(), Refusal> {
        self.operations.iter().try_for_each(|operation| match operation {
            Operation::Require(path) => edit.require(path),
            Operation::Rename { from, to } => edit.rename(from, to),
            Operation::Add { path, json, value_type } => edit.add(path, json, value_type),
            Operation::Copy { from, to, value_type } => edit.copy(from, to, value_type),
            Operation::InputsHash(path) => inputs_hash::fill(edit, path),
            Operation::Overwrite { path, json } => edit.overwrite(path, json),
            Operation::Remove(path) => edit.remove(path),
        })
    }

    fn check(&self, document: Value<'_>) -> Result<(), String> {
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check(document))
    }

    fn definition(&self) -> String {
        let schema = self.schema.as_ref().map(JsonSchema::text).unwrap_or_default();
        format!("{} {} {:?} {:?} {schema:?}", self.from, self.to, self.changes, self.operations)
    }
}
