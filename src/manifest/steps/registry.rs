//! The known steps, which form a graph of versions (docs/source-sigilzero.md, "Versions and paths").

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Component, Path};
use std::sync::Arc;

use super::step::Step;
use super::{built_in, declarative};
use crate::durable::{ReaderKind, SourceFile};
use crate::manifest::document::version::Version;
use crate::migration::Error;

/// The known steps in the order of their registration.
#[derive(Clone)]
pub struct Registry {
    steps: Vec<Arc<dyn Step>>,
}

impl Registry {
    /// Returns a registry of the built-in steps: 1.0.0 → 1.1.0, 1.1.0 → 1.2.0 and 1.0.0 → 1.2.0.
    pub fn built_in() -> Self {
        Self { steps: built_in::STEPS.into_iter().map(|step| Arc::new(step) as Arc<dyn Step>).collect() }
    }

    /// Returns a registry without steps.
    pub fn empty() -> Self {
        Self { steps: Vec::new() }
    }

    /// Adds `step` at the end. A step that does not lead to a higher version, or a second step between the same
    /// versions, is a usage error.
    pub fn add(&mut self, step: Arc<dyn Step>) -> Result<(), Error> {
        let (from, to) = (step.from(), step.to());
        if from >= to {
            return Err(Error::Usage {
                what: format!("step {from} → {to} does not lead to a higher version"),
                next: "give the step a `to` above its `from`".into(),
            });
        }
        if self.steps.iter().any(|known| (known.from(), known.to()) == (from, to)) {
            return Err(Error::Usage {
                what: format!("two steps lead from {from} to {to}"),
                next: "keep one of them, or change the version of the other".into(),
            });
        }
        self.steps.push(step);
        Ok(())
    }

    /// Adds the steps of a step file (docs/source-sigilzero.md, "Declared steps"). The `text` must not name JSON
    /// Schemas; `name` is used in errors.
    pub fn add_file(&mut self, text: &str, name: &str) -> Result<(), Error> {
        self.add_declared(text, name, &|schema| {
            Err(format!("schema {schema} cannot be read: the step file has no directory"))
        })
    }

    /// Adds the steps of the step file at `path`. The JSON Schemas that it names must be in the same directory or
    /// below.
    pub fn add_path(&mut self, path: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        let text = read_file(path).and_then(|bytes| String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned()));
        let text = text.map_err(|what| step_file_error(&name, &what))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        self.add_declared(&text, &name, &|schema| {
            let is_below = Path::new(schema).components().all(|part| matches!(part, Component::Normal(_)));
            if !is_below {
                return Err(format!("schema {schema} is outside the directory of the step file"));
            }
            read_file(&directory.join(schema)).map_err(|what| format!("schema {schema}: {what}"))
        })
    }

    fn add_declared(
        &mut self,
        text: &str,
        name: &str,
        read_schema: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<(), Error> {
        let steps = declarative::compile(text, read_schema).map_err(|what| step_file_error(name, &what))?;
        steps.into_iter().try_for_each(|step| self.add(step))
    }

    /// Returns the steps in the order of their registration.
    pub fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// Returns all versions that steps lead from or to, sorted.
    pub fn versions(&self) -> Vec<Version> {
        let mut versions: Vec<_> = self.steps.iter().flat_map(|step| [step.from(), step.to()]).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// Returns the highest version.
    pub fn latest(&self) -> Version {
        self.versions().last().copied().unwrap_or(Version::FIRST)
    }

    /// Returns the steps that lead from one version to another, or `None` if none do.
    ///
    /// A direct step is preferred, else the path with the fewest steps, else the steps that were registered first.
    /// Equal versions need no steps.
    pub fn path(&self, from: Version, to: Version) -> Option<Vec<Arc<dyn Step>>> {
        // A breadth-first search: it finds the fewest steps, and the first registered among equals.
        let mut reached_by: BTreeMap<Version, &Arc<dyn Step>> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(version) = queue.pop_front() {
            if version == to {
                return Some(Self::trace_back(from, to, &reached_by));
            }
            for step in self.steps.iter().filter(|step| step.from() == version && step.to() <= to) {
                if let Entry::Vacant(unreached) = reached_by.entry(step.to()) {
                    unreached.insert(step);
                    queue.push_back(step.to());
                }
            }
        }
        None
    }

    fn trace_back(from: Version, to: Version, reached_by: &BTreeMap<Version, &Arc<dyn Step>>) -> Vec<Arc<dyn Step>> {
        let mut path = Vec::new();
        let mut version = to;
        while version != from {
            let step = reached_by[&version];
            path.push(step.clone());
            version = step.from();
        }
        path.reverse();
        path
    }

    /// Returns the steps that lead to `version` from the lowest version that can reach it. The list is empty if no
    /// steps lead there.
    pub fn path_to(&self, version: Version) -> Vec<Arc<dyn Step>> {
        self.versions().into_iter().find_map(|first| self.path(first, version)).unwrap_or_default()
    }

    /// Returns a digest of everything that decides what the steps do: versions, operations, schemas. It is part of the
    /// plan, so a run does not resume under other steps.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for step in &self.steps {
            let definition = step.definition();
            hasher.update(&(definition.len() as u64).to_le_bytes());
            hasher.update(definition.as_bytes());
        }
        hasher.finalize().into()
    }
}

/// The longest step file or schema.
const FILE_LEN_MAX_BYTES: u64 = 16 << 20;

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    // A source file is never a pipe, which would be waited for.
    let file = SourceFile::open(path, ReaderKind::Pread).map_err(|error| error.source.to_string())?;
    let len_bytes = file.identity().len_bytes;
    if len_bytes > FILE_LEN_MAX_BYTES {
        return Err("longer than 16 MiB".into());
    }
    let mut bytes = vec![0; len_bytes as usize];
    file.read_exact_at(0, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn step_file_error(name: &str, what: &str) -> Error {
    Error::Usage {
        what: format!("step file {name} cannot be used: {what}"),
        next: "correct the file, then check its steps with `haul manifest steps check`".into(),
    }
}
