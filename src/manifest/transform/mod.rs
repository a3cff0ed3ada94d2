//! The migration of one document: from the bytes of a file to a verdict (docs/source-sigilzero.md, "How one file is
//! migrated" and "Order of checks"). It has no disk and no clock.

mod apply;
pub mod proven_registry;
pub mod step_check;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use self::apply::{apply_repair, apply_steps, repair_touches};
use self::proven_registry::ProvenRegistry;
use super::document::checksum::Checksum;
use super::document::error_codes::{DocumentStatus, ErrorCode};
use super::document::fields::VERSION;
use super::document::header;
use super::document::history::{self, HistoryRecord};
use super::document::inputs::DocumentInputs;
use super::document::json::{Arena, Document, Formatting, NodeId, Numbers, ReadOptions, push_formatted};
use super::document::options::{Mode, TransformOptions};
use super::document::verdict::{Current, Inspection, Migrated, Notice, Refusal, Skip, Verdict};
use super::document::version::Version;
use super::steps::invariants;
use super::steps::registry::Registry;
use super::steps::route::{Route, check_reachable};
use super::steps::step::Touch;
use super::steps::target_schema::TargetSchema;
use crate::migration::Error;

/// Levels of nesting that a history record needs, counted from the root.
const RECORD_DEPTH: usize = 5;

/// Migrates documents to one version. All history records have the same instant. Threads share it.
pub struct Transformer {
    registry: Arc<Registry>,
    target: Version,
    applied_at: String,
    options: TransformOptions,
    routes: BTreeMap<Version, Route>,
    schema: TargetSchema,
}

/// Memory that a thread uses again for each document instead of allocating it.
#[derive(Default)]
struct Scratch {
    before: Arena,
    after: Arena,
    text: Vec<u8>,
}

/// The most that a thread keeps. The memory of a large document is needed for that of another thread.
const KEPT_BYTES_MAX: u64 = 1 << 20;

impl Scratch {
    fn kept(self) -> Self {
        let bytes = self.before.reserved_bytes() + self.after.reserved_bytes() + self.text.capacity() as u64;
        if bytes <= KEPT_BYTES_MAX { self } else { Self::default() }
    }
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::new(Scratch::default());
}

impl Transformer {
    /// Creates a transformer for the version `target`. `now` is the instant of every history record.
    ///
    /// A version that the registry does not know is a usage error: one error before any file is opened, instead of one
    /// for each file (docs/source-sigilzero.md, D16).
    pub fn new(
        registry: ProvenRegistry,
        target: Version,
        now: Timestamp,
        options: TransformOptions,
    ) -> Result<Self, Error> {
        Self::unproved(registry.into_registry(), target, now, options)
    }

    /// Creates a transformer of steps that are not proved, which the proof itself needs.
    pub(super) fn unproved(
        registry: Arc<Registry>,
        target: Version,
        now: Timestamp,
        options: TransformOptions,
    ) -> Result<Self, Error> {
        let versions = registry.versions();
        if !versions.contains(&target) {
            return Err(Error::Usage {
                what: format!("no step leads to version {target}"),
                next: format!("use --target-version {}, or add the steps with --steps-file", registry.latest()),
            });
        }
        let routes = versions.into_iter().filter_map(|from| Some((from, Route::find(&registry, from, target)?)));
        Ok(Self {
            routes: routes.collect(),
            schema: TargetSchema::new(&registry, target),
            applied_at: history::timestamp_text(now, options.mode)?,
            registry,
            target,
            options,
        })
    }

    /// Evaluates a file with the content `bytes`. Any bytes get a verdict. Other files are read through `inputs` only.
    pub fn transform(&self, bytes: &[u8], inputs: &dyn DocumentInputs) -> Verdict {
        let mut scratch = SCRATCH.take();
        let arena = std::mem::take(&mut scratch.before);
        let verdict = match Document::parse_in(arena, bytes, &self.read_options()) {
            Err(fault) => Verdict::Refused(Refusal::of_fault(&fault, bytes)),
            Ok(mut document) => {
                let verdict = self.evaluate(&mut document, inputs, &mut scratch);
                scratch.before = document.into_arena();
                verdict.unwrap_or_else(|refusal| self.skip_or_refuse(refusal))
            }
        };
        SCRATCH.set(scratch.kept());
        verdict
    }

    /// Returns the status of a file without migrating it.
    pub fn inspect(&self, bytes: &[u8]) -> Inspection {
        let mut scratch = SCRATCH.take();
        let arena = std::mem::take(&mut scratch.before);
        let inspection = match Document::parse_in(arena, bytes, &self.read_options()) {
            Err(fault) => inspection_of(None, None, Some(Refusal::of_fault(&fault, bytes)), self.target),
            Ok(document) => {
                let inspection = self.classify(&document);
                scratch.before = document.into_arena();
                inspection
            }
        };
        SCRATCH.set(scratch.kept());
        inspection
    }

    /// Returns the version that documents are migrated to.
    pub fn target(&self) -> Version {
        self.target
    }

    /// Returns the steps.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the options for parsing documents.
    pub fn read_options(&self) -> ReadOptions {
        let is_compat = self.options.mode == Mode::Compat;
        ReadOptions {
            depth_max: self.options.depth_max,
            bom_strip: self.options.bom_strip,
            last_member_wins: is_compat,
            compat_numbers: is_compat,
        }
    }

    fn numbers(&self) -> Numbers {
        if self.options.mode == Mode::Compat { Numbers::Values } else { Numbers::Lexemes }
    }

    fn classify(&self, document: &Document<'_>) -> Inspection {
        let checked = header::check_is_manifest(document.root(), &self.options);
        let found = checked.and_then(|()| header::version(document, &self.options));
        let text = document.root().get(VERSION).and_then(|value| value.as_str());
        match found {
            Err(refusal) => {
                let version_text =
                    (refusal.code == ErrorCode::VersionUnknown).then(|| text.unwrap_or_default().into_owned());
                inspection_of(None, version_text, Some(refusal), self.target)
            }
            Ok(version) => {
                let is_reachable = self.routes.contains_key(&version);
                let reachable = check_reachable(&self.registry, version, self.target, is_reachable);
                inspection_of(Some(version), None, reachable.err(), self.target)
            }
        }
    }

    fn skip_or_refuse(&self, refusal: Refusal) -> Verdict {
        let is_foreign = refusal.code.status() == DocumentStatus::NotAManifest && self.options.mode == Mode::Strict;
        if is_foreign && !self.options.named {
            return Verdict::Skipped(Skip { code: refusal.code, text: refusal.text });
        }
        Verdict::Refused(refusal)
    }

    fn evaluate(
        &self,
        document: &mut Document<'_>,
        inputs: &dyn DocumentInputs,
        scratch: &mut Scratch,
    ) -> Result<Verdict, Refusal> {
        header::check_is_manifest(document.root(), &self.options)?;
        let version = header::version(document, &self.options)?;
        let from = |refusal: Refusal| Refusal { from: Some(version), ..refusal };
        let is_reachable = self.routes.contains_key(&version);
        check_reachable(&self.registry, version, self.target, is_reachable).map_err(from)?;
        if version == self.target && !self.options.repair {
            return Ok(Verdict::Current(self.current(document, version)));
        }
        self.migrated(document, version, inputs, scratch).map_err(from)
    }

    /// Evaluates a document that is at the target.
    fn current(&self, document: &Document<'_>, version: Version) -> Current {
        let mut findings = Vec::new();
        if self.options.mode == Mode::Strict {
            let history = header::check_history(document).err();
            findings.extend(history.map(|refusal| Notice { code: refusal.code.name(), text: refusal.text }));
            let faults = self.schema.faults(document, document.root().id());
            findings.extend(faults.into_iter().map(|fault| Notice { code: fault.code.name(), text: fault.text }));
            findings.extend(self.schema.warnings(document.root(), version));
        }
        Current { version, findings }
    }

    fn migrated(
        &self,
        document: &mut Document<'_>,
        version: Version,
        inputs: &dyn DocumentInputs,
        scratch: &mut Scratch,
    ) -> Result<Verdict, Refusal> {
        header::check_history(document)?;
        let before = document.root().id();
        let is_repair = version == self.target;
        let changed = if is_repair {
            apply_repair(document, &self.registry.path_to(self.target), self.options.derive_job_id, inputs)?
        } else {
            apply_steps(document, &self.routes[&version], self.options.derive_job_id, inputs)?
        };
        if is_repair && !changed.is_changed {
            return Ok(Verdict::Current(self.current(document, version)));
        }
        let mut notices: Vec<_> = history::history_notice(document.root(), version).into_iter().collect();
        self.check_schema(document, changed.root, &mut notices)?;
        let record = HistoryRecord {
            applied_at: &self.applied_at,
            changes: &changed.texts,
            checksum_before: Checksum::of_value(document.value(before), &mut scratch.text),
            checksum_after: Checksum::of_value(document.value(changed.root), &mut scratch.text),
            from: version,
            to: self.target,
        };
        scratch.text.clear();
        record.push_json(&mut scratch.text);
        let json = std::str::from_utf8(&scratch.text).expect("a record is UTF-8");
        let root = history::append_record(document, changed.root, json)?;
        let bytes = self.output(document, root);
        let declared = if is_repair {
            Cow::Owned(repair_touches(&self.registry.path_to(self.target)))
        } else {
            Cow::Borrowed(&self.routes[&version].touches)
        };
        let touches: Vec<&Touch> = changed.derived.iter().chain(&*declared).collect();
        self.check_output(document, before, &bytes, &touches, &mut scratch.after)?;
        Ok(Verdict::Migrated(Migrated {
            bytes,
            from: version,
            to: self.target,
            applied: self.routes[&version].applied.clone(),
            checksum_before: record.checksum_before,
            checksum_after: record.checksum_after,
            changes: changed.texts,
            notices,
        }))
    }

    fn output(&self, document: &Document<'_>, root: NodeId) -> Vec<u8> {
        let final_newline = self.options.final_newline.unwrap_or(self.options.mode == Mode::Strict);
        let mut bytes = Vec::new();
        push_formatted(&mut bytes, document.value(root), Formatting { numbers: self.numbers(), final_newline });
        bytes
    }

    /// Checks the result against the schema of the target (check 7 of docs/source-sigilzero.md, "Order of checks").
    fn check_schema(&self, document: &Document<'_>, root: NodeId, notices: &mut Vec<Notice>) -> Result<(), Refusal> {
        if self.options.mode == Mode::Compat {
            return Ok(());
        }
        let faults = self.schema.faults(document, root);
        if let (Some(fault), false) = (faults.first(), self.options.accept_incomplete) {
            return Err(Refusal { at: fault.at, ..Refusal::new(fault.code, fault.text.clone()) });
        }
        notices.extend(faults.into_iter().map(|fault| Notice { code: fault.code.name(), text: fault.text }));
        Ok(())
    }

    /// Parses the output and compares it with the input (check 8 of docs/source-sigilzero.md, "Order of checks").
    fn check_output(
        &self,
        document: &mut Document<'_>,
        before: NodeId,
        bytes: &[u8],
        touches: &[&Touch],
        arena: &mut Arena,
    ) -> Result<(), Refusal> {
        // The new record may be deeper than the document.
        let depth_max = self.options.depth_max.max(RECORD_DEPTH);
        let options = ReadOptions { depth_max, ..ReadOptions::default() };
        let mut after = Document::parse_in(std::mem::take(arena), bytes, &options)
            .map_err(|fault| Refusal::new(ErrorCode::Compatibility, format!("the output cannot be parsed: {fault}")))?;
        let checked = invariants::check(document, before, &mut after, touches, self.numbers());
        *arena = after.into_arena();
        checked
    }
}

fn inspection_of(
    version: Option<Version>,
    version_text: Option<String>,
    refusal: Option<Refusal>,
    target: Version,
) -> Inspection {
    let status = match &refusal {
        Some(refusal) => refusal.status(),
        None if version == Some(target) => DocumentStatus::Current,
        None => DocumentStatus::Pending,
    };
    Inspection { status, version, version_text, refusal }
}
