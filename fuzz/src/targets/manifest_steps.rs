//! Whatever a step file holds: it is refused with a reason, or its steps can be proved, and break no invariant unseen.

use std::sync::Arc;

use haul::manifest::transform::step_check::check_steps;
use haul::manifest::{Registry, prove};

use crate::support::edits::edited;

const TEMPLATE: &str = r#"
[[step]]
from = "1.2.0"
to = "1.3.0"
changes = ["Add level field (normal)", "Bump schema_version to 1.3.0"]
require = ["meta.owner"]
add = [{ path = "level", value = "normal", type = "string", one_of = ["low", "normal"] }]
copy = [{ from = "job_type", to = "kind", type = "string" }]
inputs_hash = "inputs_hash"

[[step]]
from = "1.3.0"
to = "2.0.0"
breaking = true
changes = ["Bump schema_version to 2.0.0"]
rename = [{ from = "status", to = "run.state" }]
overwrite = [{ path = "meta.format", json = "null" }]
remove = ["error"]
[step.inverse]
rename = [{ from = "run.state", to = "status" }]
restore = ["error", "meta.format"]
"#;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    let text = if how & 1 == 0 { script.to_vec() } else { edited(TEMPLATE.as_bytes(), script) };
    let Ok(text) = std::str::from_utf8(&text) else { return };
    let mut registry = Registry::built_in();
    if registry.add_file(text, "steps.toml").is_err() {
        return;
    }
    assert_eq!(registry.digest(), registry.clone().digest());
    if let Ok(registry) = prove(Arc::new(registry)) {
        for proof in check_steps(&registry, &[]).expect("steps that hold together are proved") {
            assert!(!proof.faults.iter().any(|fault| fault.contains("E_INVARIANT")), "{proof:?}");
        }
    }
}
