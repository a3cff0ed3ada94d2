//! The schema of a version (docs/source-sigilzero.md, "The document", and check 7 of "Order of checks").

use std::sync::Arc;

use super::step::Touch;
use crate::manifest::document::error_codes::{ErrorCode, TextPosition};
use crate::manifest::document::fields::{FIELDS, Field};
use crate::manifest::document::history::history_notice;
use crate::manifest::document::json::{Document, NodeId, Value};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::{Mismatch, ValueType};
use crate::manifest::document::verdict::Notice;
use crate::manifest::document::version::Version;
use crate::manifest::steps::registry::Registry;
use crate::manifest::steps::step::Step;

/// The schema of a version: its known members, the members that steps declare, and the checks of the steps that lead to
/// it.
pub struct TargetSchema {
    fields: Vec<&'static Field>,
    additions: Vec<(KeyPath, ValueType)>,
    steps: Vec<Arc<dyn Step>>,
}

/// A place where a document does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// [`ErrorCode::RequiredField`], [`ErrorCode::FieldType`] or [`ErrorCode::Schema`].
    pub code: ErrorCode,
    /// The member, and what it should be.
    pub text: String,
    /// Its position, if it is in the input.
    pub at: Option<TextPosition>,
}

impl TargetSchema {
    /// Returns the schema of `version`, as far as the steps of `registry` define it.
    pub fn new(registry: &Registry, version: Version) -> Self {
        let touches: Vec<_> = registry.path_to(version).iter().flat_map(|step| step.touches()).collect();
        let is_gone = |path: &[String]| {
            let mut breaking = touches.iter().filter(|touch| touch.is_breaking()).flat_map(Touch::paths);
            breaking.any(|gone| path.starts_with(gone) || gone.starts_with(path))
        };
        let fields = FIELDS.iter().filter(|field| field.since <= version && !is_gone(&[field.name.to_owned()]));
        let additions = touches.iter().filter_map(|touch| match touch {
            Touch::Add { path, value_type } if !is_gone(path) => Some((path.clone(), value_type.clone())),
            _ => None,
        });
        let steps = registry.steps().iter().filter(|step| step.to() == version).cloned();
        Self { fields: fields.collect(), additions: additions.collect(), steps: steps.collect() }
    }

    /// Returns everything that is wrong with the object `root`, missing members first.
    pub fn faults(&self, document: &Document<'_>, root: NodeId) -> Vec<SchemaFault> {
        let root = document.value(root);
        let values: Vec<_> = self.fields.iter().map(|field| (*field, root.get(field.name))).collect();
        let missing = values.iter().filter(|(field, value)| field.is_required && value.is_none());
        let mut faults: Vec<_> = missing
            .map(|(field, _)| SchemaFault {
                code: ErrorCode::RequiredField,
                text: format!("required field {} is missing", field.name),
                at: None,
            })
            .collect();
        let wrong = |name: &str, path: &dyn std::fmt::Display, fault: Mismatch| SchemaFault {
            code: ErrorCode::FieldType,
            text: format!("{path}{} is not {}", fault.below, fault.expected),
            at: fault.offset.or_else(|| root.key_offset(name)).map(|offset| document.position(offset)),
        };
        for (field, value) in values {
            let checked = value.map_or(Ok(()), |value| field.value_type.check(value));
            faults.extend(checked.err().map(|fault| wrong(field.name, &field.name, fault)));
        }
        for (path, value_type) in self.additions.iter().filter(|(path, _)| !self.is_field(path)) {
            let checked = root.at_path(path).map_or(Ok(()), |value| value_type.check(value));
            faults.extend(checked.err().map(|fault| wrong(&path[0], path, fault)));
        }
        faults.extend(self.steps.iter().filter_map(|step| {
            let text = step.check(root).err()?;
            Some(SchemaFault { code: ErrorCode::Schema, text, at: None })
        }));
        faults
    }

    fn is_field(&self, path: &[String]) -> bool {
        self.fields.iter().any(|field| field.name == path[0])
    }

    /// Returns the warnings about a document at `version` that has no faults: `W_SHAPE` for each missing path that
    /// steps would have added (docs/source-sigilzero.md, D8), and `W_HISTORY`.
    pub fn warnings(&self, root: Value<'_>, version: Version) -> Vec<Notice> {
        let absent = self.additions.iter().map(|(path, _)| path).filter(|path| root.at_path(path).is_none());
        let missing = |path| Notice { code: "W_SHAPE", text: format!("{path} is missing; --repair adds it") };
        absent.map(missing).chain(history_notice(root, version)).collect()
    }
}
