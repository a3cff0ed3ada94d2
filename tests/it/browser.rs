//! The pages in a real browser: what `tests/browser` finds wrong with them.

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs chromium and node with the packages of tests/browser"]
fn pages_hold_in_a_browser() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check.js");
    let done = Command::new("node").arg(script).args(["--haul", env!("CARGO_BIN_EXE_haul")]).output().expect("node");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    assert!(text(&done.stdout).contains("ok names are inert"), "{}", text(&done.stdout));
}
