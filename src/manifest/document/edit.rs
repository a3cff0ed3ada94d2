//! The operations that a step applies to a document.

use super::error_codes::ErrorCode;
use super::inputs::DocumentInputs;
use super::json::{Document, NodeId, Value};
use super::key_path::KeyPath;
use super::value_types::{Mismatch, ValueType};
use super::verdict::Refusal;

/// A document while a step changes it.
pub struct Edit<'e, 'a> {
    document: &'e mut Document<'a>,
    root: NodeId,
    inputs: &'e dyn DocumentInputs,
    /// Paths that were to be added and were there already.
    kept: Vec<KeyPath>,
    changed: bool,
}

impl<'e, 'a> Edit<'e, 'a> {
    /// Starts to edit the object `root` in `document`.
    pub(in crate::manifest) fn new(
        document: &'e mut Document<'a>,
        root: NodeId,
        inputs: &'e dyn DocumentInputs,
    ) -> Self {
        Self { document, root, inputs, kept: Vec::new(), changed: false }
    }

    /// Returns the document in its current state.
    pub fn root(&self) -> Value<'_> {
        self.document.value(self.root)
    }

    /// Returns the value at `path`.
    pub fn get(&self, path: &KeyPath) -> Option<Value<'_>> {
        self.root().at_path(path)
    }

    /// Returns the files in the directory of the manifest.
    pub fn inputs(&self) -> &'e dyn DocumentInputs {
        self.inputs
    }

    /// Returns the new root, the paths that were to be added and were there already, and whether anything changed.
    pub(in crate::manifest) fn finish(self) -> (NodeId, Vec<KeyPath>, bool) {
        (self.root, self.kept, self.changed)
    }

    /// Sets `path` to the value of the text `json` if nothing is there. Keeps a value that has the type `value_type`.
    ///
    /// The original overwrites populated members instead (docs/source-sigilzero.md, D1).
    pub fn add(&mut self, path: &KeyPath, json: &str, value_type: &ValueType) -> Result<(), Refusal> {
        if self.get(path).is_some() {
            return self.keep(path, value_type);
        }
        let value = self.parse_fragment(path, json)?;
        self.set(path, value)
    }

    /// Keeps the value at `path`, which must have the type `value_type`, and notes it for the history record.
    pub fn keep(&mut self, path: &KeyPath, value_type: &ValueType) -> Result<(), Refusal> {
        self.check_type(path, value_type)?;
        self.kept.push(path.clone());
        Ok(())
    }

    /// Refuses a value at `path` that does not have the type `value_type`. An absent value passes.
    pub fn check_type(&self, path: &KeyPath, value_type: &ValueType) -> Result<(), Refusal> {
        let Some(value) = self.get(path) else { return Ok(()) };
        value_type.check(value).map_err(|fault| self.mismatch(path, &fault))
    }

    /// Refuses a document that has no value at `path`.
    pub fn require(&self, path: &KeyPath) -> Result<(), Refusal> {
        match self.get(path) {
            Some(_) => Ok(()),
            None => Err(Refusal::new(ErrorCode::RequiredField, format!("{path} is missing"))),
        }
    }

    /// Copies the value at `from` to `to` if nothing is there. Both values must have the type `value_type`.
    pub fn copy(&mut self, from: &KeyPath, to: &KeyPath, value_type: &ValueType) -> Result<(), Refusal> {
        self.require(from)?;
        self.check_type(from, value_type)?;
        if self.get(to).is_some() {
            return self.keep(to, value_type);
        }
        let value = self.get(from).map(Value::id).expect("it is required");
        self.set(to, value)
    }

    /// Removes the value at `path`, if there is one.
    pub fn remove(&mut self, path: &KeyPath) -> Result<(), Refusal> {
        let root = self.document.without(self.root, path)?;
        self.changed |= root != self.root;
        self.root = root;
        Ok(())
    }

    /// Sets `path` to the value of the text `json` and replaces a value that is there.
    pub fn overwrite(&mut self, path: &KeyPath, json: &str) -> Result<(), Refusal> {
        let value = self.parse_fragment(path, json)?;
        self.set(path, value)
    }

    /// Moves the value at `from`, if there is one, to `to`. A document that has both is refused.
    pub fn rename(&mut self, from: &KeyPath, to: &KeyPath) -> Result<(), Refusal> {
        let Some(value) = self.get(from).map(Value::id) else { return Ok(()) };
        if self.get(to).is_some() {
            return Err(self.refuse(to, format!("{from} is to be renamed to {to}, but both exist")));
        }
        self.remove(from)?;
        self.set(to, value)
    }

    fn parse_fragment(&mut self, path: &KeyPath, json: &str) -> Result<NodeId, Refusal> {
        let fault = |fault| Refusal::new(ErrorCode::Json, format!("the value for {path} is not JSON: {fault}"));
        self.document.parse_fragment(json).map_err(fault)
    }

    fn set(&mut self, path: &KeyPath, value: NodeId) -> Result<(), Refusal> {
        match self.document.with(self.root, path, value)? {
            Some(root) => self.root = root,
            None => return Err(self.refuse(path, format!("{path} cannot be set: its parent is not an object"))),
        }
        self.changed = true;
        Ok(())
    }

    fn refuse(&self, path: &KeyPath, text: String) -> Refusal {
        let offset = self.root().key_offset(&path[0]);
        Refusal { at: offset.map(|offset| self.document.position(offset)), ..Refusal::new(ErrorCode::FieldType, text) }
    }

    fn mismatch(&self, path: &KeyPath, fault: &Mismatch) -> Refusal {
        let offset = fault.offset.or_else(|| self.root().key_offset(&path[0]));
        let text = format!("{path}{} is not {}", fault.below, fault.expected);
        Refusal { at: offset.map(|offset| self.document.position(offset)), ..Refusal::new(ErrorCode::FieldType, text) }
    }
}
