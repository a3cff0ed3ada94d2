//! From the bytes of a file to the verdict on it (§4, §10).

use std::sync::Arc;

use jiff::Timestamp;

use super::code::{Code, Status};
use super::verdict::{Inspection, Refusal, Verdict};
use super::{DocumentInputs, Registry, TransformOptions, Version};
use crate::migration::Error;

/// Takes documents to one version, all at one instant. Threads share it.
pub struct Transformer {
    registry: Arc<Registry>,
    target: Version,
    now: Timestamp,
    options: TransformOptions,
}

impl Transformer {
    /// To `target`, which the registry must know, else it is a usage error before any file is opened (D16). `now` is the
    /// instant of every history record.
    pub fn new(
        registry: Arc<Registry>,
        target: Version,
        now: Timestamp,
        options: TransformOptions,
    ) -> Result<Self, Error> {
        if !registry.versions().contains(&target) {
            return Err(Error::Usage {
                what: format!("no step leads to version {target}"),
                next: format!("take --target-version {}, or give the steps with --steps-file", registry.latest()),
            });
        }
        Ok(Self { registry, target, now, options })
    }

    /// What becomes of a file that holds `bytes`. Any bytes get a verdict; nothing is read but what `inputs` gives.
    pub fn transform(&self, bytes: &[u8], inputs: &dyn DocumentInputs) -> Verdict {
        let _ = (inputs, self.now, &self.options);
        Verdict::Refused(refusal(bytes))
    }

    /// What the file is, without the work of a migration.
    pub fn inspect(&self, bytes: &[u8]) -> Inspection {
        Inspection { status: Status::Corrupt, version: None, version_text: None, refusal: Some(refusal(bytes)) }
    }

    /// The version that documents are taken to.
    pub fn target(&self) -> Version {
        self.target
    }

    /// The steps.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

fn refusal(bytes: &[u8]) -> Refusal {
    let code = if bytes.is_empty() { Code::Empty } else { Code::Json };
    Refusal { code, text: "not read".into(), at: None, from: None }
}
