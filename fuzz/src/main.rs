//! All fuzz targets in one program, which is linked once: HAUL_FUZZ_TARGET says which of them runs. See `scripts/fuzz`.
#![no_main]

mod support;
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("HAUL_FUZZ_TARGET").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| panic!("HAUL_FUZZ_TARGET={name}: there is no such fuzz target"))
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
