//! What a document at a version must look like (§1, check 7 of §10).

use std::sync::Arc;

use super::step::Touch;
use crate::manifest::document::error_codes::{Code, Place};
use crate::manifest::document::fields::{FIELDS, Field};
use crate::manifest::document::header::history_notice;
use crate::manifest::document::json::{Document, NodeId, Value};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::{Mismatch, Shape};
use crate::manifest::{Notice, Registry, Step, Version};

/// The schema of one version: the fields of §1, those that steps declare, and what the steps to it check.
pub struct TargetSchema {
    fields: Vec<&'static Field>,
    additions: Vec<(KeyPath, Shape)>,
    steps: Vec<Arc<dyn Step>>,
}

/// A document that is not of its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// [`Code::RequiredField`], [`Code::FieldType`] or [`Code::Schema`].
    pub code: Code,
    /// Which field, and what it should be.
    pub text: String,
    /// Where, if it is in the input.
    pub at: Option<Place>,
}

impl TargetSchema {
    /// Of `version`, as far as `registry` knows it.
    pub fn new(registry: &Registry, version: Version) -> Self {
        let touches: Vec<_> = registry.path_to(version).iter().flat_map(|step| step.touches()).collect();
        let is_gone = |path: &[String]| {
            let mut breaking = touches.iter().filter(|touch| touch.is_breaking()).flat_map(Touch::paths);
            breaking.any(|gone| path.starts_with(gone) || gone.starts_with(path))
        };
        let fields = FIELDS.iter().filter(|field| field.since <= version && !is_gone(&[field.name.to_owned()]));
        let additions = touches.iter().filter_map(|touch| match touch {
            Touch::Add { path, shape } if !is_gone(path) => Some((path.clone(), shape.clone())),
            _ => None,
        });
        let steps = registry.steps().iter().filter(|step| step.to() == version).cloned();
        Self { fields: fields.collect(), additions: additions.collect(), steps: steps.collect() }
    }

    /// All that is wrong with the object `root`, missing fields first.
    pub fn faults(&self, document: &Document<'_>, root: NodeId) -> Vec<SchemaFault> {
        let root = document.value(root);
        let values: Vec<_> = self.fields.iter().map(|field| (*field, root.get(field.name))).collect();
        let missing = values.iter().filter(|(field, value)| field.is_required && value.is_none());
        let mut faults: Vec<_> = missing
            .map(|(field, _)| SchemaFault {
                code: Code::RequiredField,
                text: format!("required field {} is missing", field.name),
                at: None,
            })
            .collect();
        let wrong = |name: &str, path: &dyn std::fmt::Display, fault: Mismatch| SchemaFault {
            code: Code::FieldType,
            text: format!("{path}{} is not {}", fault.below, fault.expected),
            at: fault.offset.or_else(|| root.key_offset(name)).map(|offset| document.place(offset)),
        };
        for (field, value) in values {
            let checked = value.map_or(Ok(()), |value| field.shape.check(value));
            faults.extend(checked.err().map(|fault| wrong(field.name, &field.name, fault)));
        }
        for (path, shape) in self.additions.iter().filter(|(path, _)| !self.is_field(path)) {
            let checked = root.at_path(path).map_or(Ok(()), |value| shape.check(value));
            faults.extend(checked.err().map(|fault| wrong(&path[0], path, fault)));
        }
        faults.extend(self.steps.iter().filter_map(|step| {
            let text = step.check(root).err()?;
            Some(SchemaFault { code: Code::Schema, text, at: None })
        }));
        faults
    }

    fn is_field(&self, path: &[String]) -> bool {
        self.fields.iter().any(|field| field.name == path[0])
    }

    /// What is worth saying of a document at `version` whose faults are none: `W_SHAPE` for each path that steps add and
    /// that it does not have (D8), and `W_HISTORY`.
    pub fn warnings(&self, root: Value<'_>, version: Version) -> Vec<Notice> {
        let absent = self.additions.iter().map(|(path, _)| path).filter(|path| root.at_path(path).is_none());
        let shape = |path| Notice { code: "W_SHAPE", text: format!("{path} is missing; --repair adds it") };
        absent.map(shape).chain(history_notice(root, version)).collect()
    }
}
