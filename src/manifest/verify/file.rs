//! Verification of one manifest: its checksum, its snapshots, its run id and its doctrine.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::report::VerifiedFiles;
use crate::manifest::document::checksum::hex;
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::history::{HistoryCheck, check_last_record};
use crate::manifest::document::inputs::DocumentInputs;
use crate::manifest::document::inputs_hash::recorded_hash;
use crate::manifest::document::json::{Document, Kind, ReadOptions, Value, memory_needed};
use crate::manifest::document::version::Version;
use crate::manifest::migrate::evaluate::finding;
use crate::manifest::steps::registry::Registry;
use crate::manifest::steps::target_schema::TargetSchema;
use crate::migration::Severity;

/// The deepest nesting of arrays and objects.
const DEPTH_MAX: usize = 1000;
const DOCTRINE: &str = "inputs/doctrine.resolved.json";

/// Verifies a manifest and adds the result to `verified`.
pub fn verify_file(
    bytes: &[u8],
    file: &Path,
    inputs: &dyn DocumentInputs,
    (registry, doctrine_max_bytes): (&Registry, u64),
    verified: &mut VerifiedFiles,
) {
    let options = ReadOptions { depth_max: DEPTH_MAX, bom_strip: true, last_member_wins: false, compat_numbers: false };
    let mut document = match Document::parse(bytes, &options) {
        Ok(document) => document,
        Err(fault) => {
            let text = format!("{} at offset {}", fault.what, fault.offset);
            verified.findings.push(finding(Severity::Fatal, file, fault.code.name(), text));
            return;
        }
    };
    let mut check = Check { file, inputs, doctrine_max_bytes, verified };
    check.schema(&document, registry);
    let root = document.root();
    check.snapshots(root);
    check.run_id(root);
    check.doctrine(root);
    check.history(&mut document);
}

struct Check<'a> {
    file: &'a Path,
    inputs: &'a dyn DocumentInputs,
    /// The memory that a resolved doctrine may take.
    doctrine_max_bytes: u64,
    verified: &'a mut VerifiedFiles,
}

impl Check<'_> {
    fn fatal(&mut self, code: &str, text: String) {
        self.verified.findings.push(finding(Severity::Fatal, self.file, code, text));
    }

    fn schema(&mut self, document: &Document<'_>, registry: &Registry) {
        let version = document.root().get("schema_version").and_then(Value::as_str);
        let Some(version) = version.and_then(|text| text.parse::<Version>().ok()) else { return };
        for fault in TargetSchema::new(registry, version).faults(document, document.root().id()) {
            self.verified.findings.push(finding(Severity::Note, self.file, fault.code.name(), fault.text));
        }
    }

    fn history(&mut self, document: &mut Document<'_>) {
        match check_last_record(document) {
            Ok(HistoryCheck::Matches(_)) => self.verified.checksums += 1,
            Ok(HistoryCheck::NoRecord | HistoryCheck::NoChecksum) => {}
            Ok(HistoryCheck::Differs) => {
                self.fatal(
                    "E_CHECKSUM",
                    "checksum_after of its last history record does not match the document".into(),
                );
            }
            Err(refusal) => self.fatal(refusal.code.name(), refusal.text),
        }
    }

    /// Hashes every listed snapshot file and derives `inputs_hash` from the list.
    fn snapshots(&mut self, root: Value<'_>) {
        let listed = root.get("input_snapshots").filter(|snapshots| snapshots.kind() == Kind::Object);
        let claimed = root.get("inputs_hash").and_then(Value::as_str);
        let Some(snapshots) = listed.filter(|snapshots| snapshots.members().len() > 0 || claimed.is_some()) else {
            self.verified.legacy_no_snapshots += 1;
            return;
        };
        for (name, snapshot) in snapshots.members() {
            let name = name.as_str().unwrap_or_default();
            self.verified.snapshots += 1;
            if let Err(text) = self.snapshot(snapshot) {
                self.fatal("E_SNAPSHOT", format!("input snapshot {name}: {text}"));
            }
        }
        let derived = recorded_hash(snapshots).map(|checksum| checksum.to_string());
        if let (Some(recorded), Some(derived)) = (claimed, derived)
            && *recorded != derived
        {
            self.fatal("E_INPUTS_HASH", format!("inputs_hash is {recorded}, but its snapshots give {derived}"));
        }
    }

    fn snapshot(&self, snapshot: Value<'_>) -> Result<(), String> {
        let path = snapshot.get("path").and_then(Value::as_str).ok_or("it has no path")?;
        let (digest, len_bytes) = self.inputs.digest(&path)?.ok_or_else(|| format!("{path} is missing"))?;
        let sha256 = snapshot.get("sha256").and_then(Value::as_str).unwrap_or_default();
        if sha256.trim_start_matches("sha256:") != hex(&digest) {
            return Err(format!("the bytes of {path} do not match its sha256"));
        }
        match snapshot.get("bytes").map(|bytes| bytes.lexeme().to_owned()) {
            Some(bytes) if bytes != len_bytes.to_string() => Err(format!("{path} is not {bytes} bytes long")),
            _ => Ok(()),
        }
    }

    /// Checks that `run_id` is the beginning of `inputs_hash`, with `-N` at the end for a retry.
    fn run_id(&mut self, root: Value<'_>) {
        let text = |key: &str| root.get(key).and_then(Value::as_str);
        let (Some(hash), Some(run_id)) = (text("inputs_hash"), text("run_id")) else { return };
        let base = hash.strip_prefix("sha256:").and_then(|digits| digits.get(..32)).unwrap_or_default();
        let is_retry = |rest: &str| {
            let number = rest.strip_prefix('-').and_then(|digits| digits.parse::<u64>().ok());
            number.is_some_and(|number| number >= 2)
        };
        let is_derived = run_id.strip_prefix(base).is_some_and(|rest| rest.is_empty() || is_retry(rest));
        if !is_derived {
            self.fatal("E_RUN_ID", format!("run_id {run_id} is not derived from inputs_hash {hash}"));
        }
    }

    /// Checks that the resolved doctrine in the directory of the manifest is the one that the manifest names.
    fn doctrine(&mut self, root: Value<'_>) {
        let Some(doctrine) = root.get("doctrine").filter(|doctrine| doctrine.kind() == Kind::Object) else { return };
        let bytes = match self.inputs.read(DOCTRINE, self.doctrine_max_bytes) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(text) => return self.fatal("E_DOCTRINE", text),
        };
        if memory_needed(&bytes, DEPTH_MAX) > self.doctrine_max_bytes {
            let text = format!("{DOCTRINE} needs more memory than it may take; raise --memory-budget-mb");
            return self.fatal(ErrorCode::TooLarge.name(), text);
        }
        let Ok(resolved) = Document::parse(&bytes, &ReadOptions::default()) else {
            return self.fatal("E_DOCTRINE", format!("{DOCTRINE} is not JSON"));
        };
        let resolved = |key: &str| resolved.root().get(key).and_then(Value::as_str);
        for key in ["doctrine_id", "version", "sha256"] {
            let named = doctrine.get(key).and_then(Value::as_str);
            if let (Some(named), Some(found)) = (named, resolved(key))
                && *named != *found
            {
                self.fatal("E_DOCTRINE", format!("{key} is {named}, but {DOCTRINE} has {found}"));
            }
        }
        let sha256 = doctrine.get("sha256").and_then(Value::as_str);
        if let (Some(sha256), Some(content)) = (sha256, resolved("content")) {
            let digest = hex(&Sha256::digest(content.as_bytes()).into());
            if sha256.trim_start_matches("sha256:") != digest {
                self.fatal(
                    "E_DOCTRINE",
                    format!("sha256 is {sha256}, but that of the content of {DOCTRINE} is {digest}"),
                );
            }
        }
    }
}
