//! Proves steps on sample manifests and on given ones: a step is deterministic and idempotent, changes only what it
//! declares, and gives the result of its chain.

use std::sync::Arc;

use jiff::Timestamp;

use super::Transformer;
use super::proven_registry::ProvenRegistry;
use crate::manifest::document::fields::{HISTORY, VERSION};
use crate::manifest::document::json::{Document, Formatting, Numbers, ReadOptions, first_difference, push_formatted};
use crate::manifest::document::options::TransformOptions;
use crate::manifest::document::verdict::{Migrated, Verdict};
use crate::manifest::document::version::Version;
use crate::manifest::steps::registry::Registry;
use crate::manifest::steps::samples::{SampleInputs, sample_manifests};
use crate::manifest::steps::step::{Step, Touch};
use crate::migration::Error;

/// A manifest of the operator, on which steps are proved.
pub struct GivenManifest {
    /// Its name in messages.
    pub name: String,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

/// The result of proving one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProof {
    /// The version that the step leads from.
    pub from: Version,
    /// The version that the step leads to.
    pub to: Version,
    /// Number of manifests that it migrated.
    pub manifests: u64,
    /// Number of manifests that it refused.
    pub refused: u64,
    /// The faults that were found, each with the manifest that shows it.
    pub faults: Vec<String>,
}

/// Proves the steps as a whole: each version must be reachable from the lowest, and a direct step must give the result
/// of its chain for all sample manifests. Anything else is a usage error.
pub fn prove(registry: Arc<Registry>) -> Result<ProvenRegistry, Error> {
    let versions = registry.versions();
    let lowest = versions.first().copied().unwrap_or(Version::FIRST);
    if let Some(version) = versions.iter().find(|version| registry.path(lowest, **version).is_none()) {
        return Err(Error::Usage {
            what: format!("no steps lead from {lowest} to {version}"),
            next: "declare a step that leads there".into(),
        });
    }
    match first_unequal_chain(&registry)? {
        None => Ok(ProvenRegistry::new(registry)),
        Some(what) => Err(Error::Usage {
            what,
            next: "make both paths give the same result; `haul manifest steps check` shows where they differ".into(),
        }),
    }
}

/// Proves each step of `registry`, in the order of registration.
pub fn check_steps(registry: &Registry, given: &[GivenManifest]) -> Result<Vec<StepProof>, Error> {
    registry.steps().iter().map(|step| check_step(registry, step, given)).collect()
}

/// Returns a description of the first step whose result for a sample manifest differs from that of a chain of other
/// steps.
fn first_unequal_chain(registry: &Registry) -> Result<Option<String>, Error> {
    for step in registry.steps() {
        let Some(prover) = Prover::new(registry, step)?.filter(|prover| prover.chain.is_some()) else { continue };
        for (at, bytes) in prover.samples(registry)?.iter().enumerate() {
            let Verdict::Migrated(migrated) = prover.direct.transform(bytes, &SampleInputs) else { continue };
            if let Some(fault) = prover.chain_fault(bytes, &migrated) {
                return Ok(Some(format!("step {} → {}: {fault} (sample manifest {})", step.from(), step.to(), at + 1)));
            }
        }
    }
    Ok(None)
}

fn check_step(registry: &Registry, step: &Arc<dyn Step>, given: &[GivenManifest]) -> Result<StepProof, Error> {
    let mut proof = StepProof { from: step.from(), to: step.to(), manifests: 0, refused: 0, faults: Vec::new() };
    let Some(prover) = Prover::new(registry, step)? else { return Ok(proof) };
    for (at, bytes) in prover.samples(registry)?.iter().enumerate() {
        prover.prove(&format!("sample manifest {}", at + 1), bytes, &mut proof);
    }
    if proof.manifests == 0 {
        proof.faults.push("it refuses every sample manifest".into());
    }
    for manifest in given {
        let raised = prover.at_source_version(registry, &manifest.bytes)?;
        if let Some(bytes) = raised {
            prover.prove(&manifest.name, &bytes, &mut proof);
        }
    }
    Ok(proof)
}

fn unproved_transformer(steps: &[Arc<dyn Step>], target: Version) -> Result<Transformer, Error> {
    let mut registry = Registry::empty();
    steps.iter().try_for_each(|step| registry.add(step.clone()))?;
    let options = TransformOptions { shape_any: true, accept_incomplete: true, ..TransformOptions::default() };
    Transformer::unproved(Arc::new(registry), target, Timestamp::UNIX_EPOCH, options)
}

struct Prover {
    step: Arc<dyn Step>,
    direct: Transformer,
    /// The other steps that lead to the same version, if there are any.
    chain: Option<Transformer>,
}

impl Prover {
    fn new(registry: &Registry, step: &Arc<dyn Step>) -> Result<Option<Self>, Error> {
        let others = registry.steps().iter().filter(|other| !Arc::ptr_eq(other, step)).cloned();
        let others: Vec<_> = others.collect();
        let mut without = Registry::empty();
        others.iter().try_for_each(|other| without.add(other.clone()))?;
        let path = without.path(step.from(), step.to());
        let chain = path.map(|_| unproved_transformer(&others, step.to())).transpose()?;
        Ok(Some(Self {
            step: step.clone(),
            direct: unproved_transformer(std::slice::from_ref(step), step.to())?,
            chain,
        }))
    }

    /// Returns sample manifests at the version that the step leads from.
    fn samples(&self, registry: &Registry) -> Result<Vec<Vec<u8>>, Error> {
        let path = registry.path_to(self.step.from());
        let first = path.first().map_or(self.step.from(), |step| step.from());
        let samples = sample_manifests(registry, first);
        if path.is_empty() {
            return Ok(samples);
        }
        let raise = unproved_transformer(&path, self.step.from())?;
        let raised = samples.iter().filter_map(|bytes| match raise.transform(bytes, &SampleInputs) {
            Verdict::Migrated(migrated) => Some(migrated.bytes),
            _ => None,
        });
        Ok(raised.collect())
    }

    /// Returns a given manifest at the version that the step leads from, or `None` if it cannot be migrated to it.
    fn at_source_version(&self, registry: &Registry, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let options = TransformOptions { accept_incomplete: true, ..TransformOptions::default() };
        let raise =
            Transformer::unproved(Arc::new(registry.clone()), self.step.from(), Timestamp::UNIX_EPOCH, options)?;
        Ok(match raise.transform(bytes, &SampleInputs) {
            Verdict::Migrated(migrated) => Some(migrated.bytes),
            Verdict::Current(_) => Some(bytes.to_vec()),
            Verdict::Skipped(_) | Verdict::Refused(_) => None,
        })
    }

    fn prove(&self, name: &str, bytes: &[u8], proof: &mut StepProof) {
        let first = self.direct.transform(bytes, &SampleInputs);
        let fault = match &first {
            _ if self.direct.transform(bytes, &SampleInputs) != first => {
                Some("it is not deterministic: two runs differ".to_owned())
            }
            Verdict::Refused(refusal) if refusal.code.name().starts_with("E_INVARIANT") => {
                Some(format!("{}: {}", refusal.code, refusal.text))
            }
            Verdict::Migrated(migrated) => {
                proof.manifests += 1;
                self.repetition_fault(migrated).or_else(|| self.chain_fault(bytes, migrated))
            }
            Verdict::Current(_) => Some("it leads from a version to itself".to_owned()),
            Verdict::Skipped(_) | Verdict::Refused(_) => {
                proof.refused += 1;
                None
            }
        };
        proof.faults.extend(fault.map(|fault| format!("{fault} ({name})")));
    }

    /// Returns what a second application changes. A step that only adds must change nothing then.
    fn repetition_fault(&self, migrated: &Migrated) -> Option<String> {
        if self.step.touches().iter().any(Touch::is_breaking) {
            return None;
        }
        let again = with_version(&migrated.bytes, self.step.from())?;
        match self.direct.transform(&again, &SampleInputs) {
            Verdict::Migrated(second) => difference(&migrated.bytes, &second.bytes)
                .map(|name| format!("applied to its own result, it changes {name}")),
            _ => Some("it refuses its own result".into()),
        }
    }

    fn chain_fault(&self, bytes: &[u8], migrated: &Migrated) -> Option<String> {
        match self.chain.as_ref()?.transform(bytes, &SampleInputs) {
            Verdict::Migrated(chained) => difference(&migrated.bytes, &chained.bytes)
                .map(|name| format!("the steps {} give a different {name}", chained.applied.join(", "))),
            _ => Some("the other steps that lead to this version refuse the manifest".into()),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Document<'_>> {
    Document::parse(bytes, &ReadOptions { depth_max: usize::MAX, ..ReadOptions::default() }).ok()
}

/// Returns the document with another version and the same history.
fn with_version(bytes: &[u8], version: Version) -> Option<Vec<u8>> {
    let mut document = parse(bytes)?;
    let root = document.root().id();
    let value = document.parse_fragment(&format!("\"{version}\"")).ok()?;
    let root = document.with(root, &[VERSION.to_owned()], value).ok()??;
    let mut out = Vec::new();
    let formatting = Formatting { numbers: Numbers::Lexemes, final_newline: true };
    push_formatted(&mut out, document.value(root), formatting);
    Some(out)
}

/// Returns the name of the first member in which two results differ, except the history.
fn difference(a: &[u8], b: &[u8]) -> Option<String> {
    let (Some(mut a), Some(mut b)) = (parse(a), parse(b)) else { return Some("JSON".into()) };
    let without = |document: &mut Document<'_>| {
        let root = document.root().id();
        document.without(root, &[HISTORY.to_owned()]).unwrap_or(root)
    };
    let (a_root, b_root) = (without(&mut a), without(&mut b));
    first_difference(a.value(a_root), b.value(b_root), Numbers::Lexemes)
}
