//! Spaces in ordinary but unfriendly surroundings: permissions, limits, a running engine, a wrong name.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::haul::{Done, HAUL};
use crate::support::headers::header;
use crate::support::nobody::{Nobody, give_away};
use crate::support::place::Place;

/// Runs `haul ARGUMENTS` in a shell that has done `before`, such as setting a limit.
fn run_after(place: &Place, before: &str, arguments: &str) -> Done {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before}; exec \"$0\" {arguments}"), HAUL]).current_dir(place.path());
    Done::of(shell.stdin(Stdio::null()).env("ENGRAM_DATA_DIR", "data").output().expect("a shell"))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Every path below these with its mode.
fn modes(roots: &[PathBuf]) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut pending = roots.to_vec();
    while let Some(path) = pending.pop() {
        found.push((path.clone(), mode(&path)));
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn what_is_made_of_a_log_is_at_most_as_readable_as_the_log() {
    for (log_mode, mask, expected) in [
        (0o600, "000", (0o600, 0o700)),
        (0o600, "022", (0o600, 0o700)),
        (0o600, "077", (0o600, 0o700)),
        (0o640, "000", (0o640, 0o750)),
        (0o640, "022", (0o640, 0o750)),
        (0o640, "077", (0o600, 0o700)),
        (0o644, "022", (0o644, 0o755)),
    ] {
        let place = Place::with_space(20);
        set_mode(&place.log(), log_mode);
        for directory in [place.space(), place.space().join("wal")] {
            set_mode(&directory, 0o755);
        }
        let run = |arguments: &str| run_after(&place, &format!("umask {mask}"), arguments).expect(0);
        run("space migrate default --no-publish");
        run("space publish default");
        run("space verify default --full");
        run("space export default --to exported");
        let made = ["migration", "dual-000001", "CURRENT"].map(|name| place.space().join(name));
        for (path, mode) in modes(&[made.as_slice(), &[place.path().join("exported")]].concat()) {
            // The pointer tells nothing of what is in the log, but it follows the same rule.
            let at_most = if path.is_dir() { expected.1 } else { expected.0 };
            assert_eq!(mode & !at_most, 0, "{log_mode:o} under {mask}: {} has {mode:o}", path.display());
        }
        assert_eq!(mode(&place.space().join("dual-000001/MANIFEST")), expected.0, "{log_mode:o} under {mask}");
        assert_eq!(mode(&place.space().join("migration")), expected.1, "{log_mode:o} under {mask}");
    }
}

#[test]
fn what_is_made_of_a_store_is_at_most_as_readable_as_the_store() {
    for (private, mask) in [("root", "000"), ("root", "022"), ("files", "022"), ("files", "077")] {
        let place = Place::new();
        run_after(&place, "umask 022", "cas generate old --objects 8 --generation v0.5").expect(0);
        for (path, _) in modes(&[place.path().join("old")]) {
            match private {
                "root" if path.ends_with("old") => set_mode(&path, 0o700),
                "files" if path.is_file() => set_mode(&path, 0o600),
                _ => {}
            }
        }
        run_after(&place, &format!("umask {mask}"), "cas migrate --source old --target new").expect(0);
        let made = ["new", "new.migration"].map(|name| place.path().join(name));
        for (path, mode) in modes(&made) {
            assert_eq!(mode & 0o077, 0, "{private} under {mask}: {} has {mode:o}", path.display());
        }
    }
}

struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that writes to a log of the space which has no name any more.
fn engine(place: &Place) -> Engine {
    let path = place.space().join("wal/wal-00000000ffffffff.log");
    let log = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    Engine(Command::new("sleep").arg("60").stdout(Stdio::from(log)).spawn().unwrap())
}

#[test]
fn a_running_engine_is_noticed_and_named() {
    let place = Place::with_space(20);
    let running = engine(&place);
    for arguments in ["plan default", "migrate default --dry-run", "migrate default", "migrate default --no-publish"] {
        let done = place.space_run(arguments).expect(75);
        let pid = format!("process {} (sleep)", running.0.id());
        assert!(done.stderr.contains(&pid), "{arguments}: {}", done.stderr);
        assert!(done.stderr.contains("--engine-stopped"), "{arguments}: {}", done.stderr);
    }
    assert_eq!(fs::read_dir(place.space()).unwrap().count(), 1, "nothing is begun");
    place.space_run("plan default --engine-stopped").expect(0);
    place.space_run("migrate default --engine-stopped --no-publish").expect(0);
    place.space_run("publish default").expect(75);
    assert!(!place.space().join("CURRENT").exists());
    place.space_run("publish default --engine-stopped").expect(0);
    drop(running);
    place.space_run("migrate default").expect(0);
}

#[test]
fn more_log_files_than_descriptors_are_read() {
    let place = Place::new();
    place.run(&["space", "generate", "data/default", "--nodes", "400", "--files", "400"]).expect(0);
    // The soft limit is raised; under a low hard limit, few of the files are held.
    for limit in ["ulimit -Sn 64", "ulimit -n 300"] {
        run_after(&place, limit, "space stats default").expect(0);
        run_after(&place, limit, "space migrate default --restart --yes").expect(0);
        run_after(&place, limit, "space rollback default --yes").expect(0);
    }
}

#[test]
fn too_few_descriptors_are_an_error_with_a_next_step() {
    let place = Place::new();
    place.run(&["space", "generate", "data/default", "--nodes", "100", "--files", "100"]).expect(0);
    let done = run_after(&place, "ulimit -n 50", "space migrate default").expect(75);
    assert!(done.stderr.contains("ulimit -n"), "{}", done.stderr);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_names_the_file() {
    let place = Place::with_space(3000);
    let done = run_after(&place, "ulimit -f 2000", "space migrate default").expect(75);
    assert!(done.stderr.contains("migration/staging/segment-000000.dual"), "{}", done.stderr);
    assert!(done.stderr.contains("ulimit -f"), "{}", done.stderr);
    place.space_run("migrate default").expect(0);
}

#[test]
fn an_empty_variable_is_no_value() {
    let place = Place::with_space(5);
    fs::rename(place.path().join("data"), place.path().join("engram-data")).unwrap();
    for name in ["default", "./engram-data/default"] {
        let done = Done::of(place.command(&["space", "status", name]).env("ENGRAM_DATA_DIR", "").output().unwrap());
        assert!(done.expect(0).stdout.contains("engram-data/default"));
    }
}

#[test]
fn the_end_of_the_terminal_stops_a_run_like_a_signal_to_end() {
    for (before, code, nodes) in [("", 75, 5_000), ("trap '' HUP", 0, 100)] {
        let place = Place::with_space(nodes);
        let mut shell = Command::new("sh");
        let migrate = "exec \"$0\" space migrate default --rate-limit 200 --batch-size 20 --progress none";
        shell.args(["-c", &format!("{before}\n{migrate}"), HAUL]).current_dir(place.path());
        let mut running = shell.env("ENGRAM_DATA_DIR", "data").stdout(Stdio::null()).spawn().unwrap();
        let staging = place.space().join("migration/staging");
        while !staging.exists() && running.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let pid = rustix::process::Pid::from_child(&running);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(code), "{before:?}");
    }
}

#[test]
fn a_cut_last_record_is_on_the_screen() {
    let place = Place::with_space(20);
    let log = OpenOptions::new().write(true).open(place.log()).unwrap();
    log.set_len(log.metadata().unwrap().len() - 100).unwrap();
    drop(log);
    let done = place.space_run("migrate default").expect(0);
    let name = place.log().file_name().unwrap().to_str().unwrap().to_owned();
    let line = done.stdout.lines().find(|line| line.contains("torn tail"));
    assert!(line.is_some_and(|line| line.contains(&format!("note: {name} at "))), "{}", done.stdout);
}

#[test]
fn a_refused_record_is_on_the_screen_with_its_place() {
    let place = Place::with_space(20);
    let file = OpenOptions::new().write(true).open(place.log()).unwrap();
    file.write_all_at(b"damage", 200).unwrap();
    drop(file);
    let done = place.space_run("migrate default --corruption resync").expect(3);
    assert!(done.stdout.contains("refused: wal-") && done.stdout.contains(" at 0, "), "{}", done.stdout);
}

#[test]
fn a_name_with_two_meanings_is_refused_with_both() {
    let place = Place::with_space(5);
    place.run(&["space", "generate", "default", "--nodes", "9"]).expect(0);
    let done = place.space_run("migrate default").expect(2);
    assert!(done.stderr.contains("data/default and ./default"), "{}", done.stderr);
    assert_eq!(place.space_run("migrate ./default --json").expect(0).json()["records"], 9);
    assert_eq!(place.space_run("migrate data/default --json").expect(0).json()["records"], 5);
}

#[test]
fn the_same_bytes_with_another_time_are_the_same_log() {
    let place = Place::with_space(20);
    place.space_run("migrate default").expect(0);
    let touch = || {
        let log = OpenOptions::new().append(true).open(place.log()).unwrap();
        log.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    touch();
    let done = place.space_run("migrate default").expect(0);
    assert!(done.stdout.contains("nothing to do"), "{}", done.stdout);
    place.space_run("rollback default --yes").expect(0);
    // As a backup tool copies it back: another inode and another time.
    let (log, bytes) = (place.log(), fs::read(place.log()).unwrap());
    fs::remove_file(&log).unwrap();
    fs::write(&log, &bytes).unwrap();
    place.space_run("publish default").expect(0);
    place.space_run("rollback default --yes").expect(0);
    let mut other = bytes;
    let last = other.len() - 1;
    other[last] ^= 1;
    fs::write(&log, &other).unwrap();
    let done = place.space_run("publish default").expect(65);
    assert!(done.stderr.contains(log.file_name().unwrap().to_str().unwrap()), "{}", done.stderr);
}

#[test]
fn a_thread_that_cannot_be_had_is_an_error_and_no_panic() {
    let place = Place::with_space(20);
    let nobody = Nobody::at(place.path());
    for path in modes(&[place.path().join("data")]).into_iter().map(|(path, _)| path) {
        give_away(&path);
    }
    let mut codes = Vec::new();
    for processes in 1..=6 {
        let script = format!("ulimit -u {processes}; exec \"$0\" space migrate ./data/default --progress none");
        let done = Done::of(nobody.shell(&script).current_dir(place.path()).output().unwrap());
        assert!(matches!(done.code, 0 | 75), "{processes} processes: {}\n{}", done.code, done.stderr);
        codes.push(done.code);
        if done.code == 75 {
            assert!(done.stderr.contains("the system starts no thread haul-"), "{}", done.stderr);
        }
    }
    assert_eq!(codes[0], 75);
}

/// A header of 64 bytes claims 1 GiB, most of which is a hole.
#[test]
fn a_lying_length_takes_no_memory() {
    let place = Place::with_space(20);
    let claimed = 1_u32 << 30;
    let log = place.space().join("wal/wal-00000000ffffffff.log");
    fs::write(&log, header(1, claimed)).unwrap();
    OpenOptions::new().write(true).open(&log).unwrap().set_len(u64::from(claimed) + 64 + 4096).unwrap();
    for reader in ["mmap", "pread"] {
        let arguments =
            format!("space migrate default --dry-run --corruption resync --memory-budget-mb 64 --reader {reader}");
        run_after(&place, "ulimit -v 800000", &arguments).expect(3);
    }
}

#[test]
fn the_number_of_workers_has_a_ceiling() {
    let place = Place::with_space(5);
    for workers in ["0", "513", "100000", "x"] {
        let done = place.space_run(&format!("migrate default --parallel-workers {workers}")).expect(2);
        assert!(done.stderr.contains("a number from 1 to 512 is needed"), "{}", done.stderr);
    }
}

#[test]
fn of_two_generators_one_must_wait() {
    let place = Place::new();
    let commands = [["space", "generate", "space", "--nodes", "3"], ["cas", "generate", "store", "--objects", "3"]];
    for arguments in commands {
        let root = place.path().join(arguments[2]);
        let run = root.join("migration");
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("lock"), "pid 1 on here").unwrap();
        let held = fs::File::open(run.join("lock")).unwrap();
        held.lock().unwrap();
        let done = place.run(&arguments).expect(75);
        assert!(done.stderr.contains("error: another run is active: pid 1 on here"), "{}", done.stderr);
        assert!(!root.join("objects").exists());
        drop(held);
        // What a dead one left is no obstacle.
        place.run(&arguments).expect(0);
        assert!(!run.exists());
    }
}
