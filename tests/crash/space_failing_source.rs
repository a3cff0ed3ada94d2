//! A log that fails while it is migrated to a store on the simulated disk. Either the run ends and publishes nothing, or
//! the store is that of an undisturbed run; afterwards a log that works gives it in any case.

use crate::sample::sampled_or_full;
use crate::source_faults::for_each_fault;
use crate::space::Scene;
use haul::durable::FailingSource;
use haul::migration::{Stage, exit};

#[test]
fn a_log_that_fails_publishes_nothing_or_everything() {
    let scene = Scene::new();
    let (mut ended, mut tolerated) = (0, 0);
    let tried = for_each_fault(sampled_or_full(5, 1), |fault| {
        let disk = scene.disk();
        let failing = FailingSource::new(&scene.root(), fault);
        let result = scene.run(&disk);
        let was_reached = failing.has_failed();
        drop(failing);
        let what = || format!("{fault:?}");
        match result {
            _ if !was_reached => {}
            Ok(end) => {
                assert_eq!(end.stage, Stage::Published, "{}", what());
                scene.check_complete(&disk, "dual-000001", &what);
                tolerated += 1;
            }
            Err(error) => {
                let expected = [exit::FAILED, exit::TEMPORARY, exit::BAD_DATA, exit::USAGE];
                assert!(expected.contains(&error.exit_code()), "{error}, exit {}: {}", error.exit_code(), what());
                // What says nothing of the log must not be called its damage.
                let is_of_the_log = [libc::ENOENT, libc::EACCES].contains(&fault.code);
                assert!(is_of_the_log || error.exit_code() != exit::BAD_DATA, "{error}: {}", what());
                assert!(error.next_step().is_some(), "{error}: {}", what());
                assert_eq!(scene.live(&disk), None, "{error}, but something is published: {}", what());
                scene.recover(&disk, &what);
                ended += 1;
            }
        }
        was_reached
    });
    println!("{tried} faults, {ended} ended, {tolerated} tolerated");
    assert!(ended > 0 && tolerated > 0, "both outcomes are met");
}
