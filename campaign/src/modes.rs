//! No output is readable by more people than what it was made of, whatever the umask is.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::command::{haul, output, remove, words};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};

/// A noun, the commands that make its sources, where those lie, and the commands whose outputs are looked at.
const CASES: [(&str, &str, &str, &[&str]); 3] = [
    (
        "space",
        "space generate ./s --nodes 20 --seed 7",
        "s/wal",
        &["space migrate ./s", "space export ./s --to out", "space rollback ./s --yes"],
    ),
    (
        "cas",
        "cas generate old --objects 10 --generation v0.5 --seed 1",
        "old",
        &["cas migrate --source old --target new"],
    ),
    (
        "manifest",
        "manifest generate app --manifests 5 --seed 7",
        "app/artifacts",
        &["manifest reindex app --rows jsonl", "manifest migrate app", "manifest reindex app --sqlite index.db"],
    ),
];

pub fn run(options: &Options, results: &mut Results) {
    for (noun, generate, source, commands) in CASES.iter().filter(|case| options.takes_noun(case.0)) {
        for umask in [0, 0o022, 0o077] {
            let work = options.directory.join(format!("modes-{noun}"));
            remove(&work);
            std::fs::create_dir_all(&work).expect("a directory");
            with_umask(options, &work, generate, 0o022);
            set_private(&work.join(source));
            let before = paths(&work);
            for line in *commands {
                let is_done = with_umask(options, &work, line, umask);
                let wider = first_wider(&work, &before);
                let (verdict, detail) = match (is_done, wider) {
                    (false, _) => (Verdict::Stuck, output(&work)),
                    (true, Some(path)) => (Verdict::Misjudged, path),
                    (true, None) => (Verdict::Absorbed, String::new()),
                };
                let what = json!({"command": line, "umask": format!("{umask:03o}")});
                results.record(&Trial { part: "modes", scene: (*noun).into(), what, verdict, detail });
            }
        }
    }
}

fn with_umask(options: &Options, work: &Path, line: &str, umask: u32) -> bool {
    let mut command: Command = haul(&options.haul, work, &words(line));
    // SAFETY: the closure makes one system call, which takes no memory.
    unsafe {
        command.pre_exec(move || {
            libc::umask(umask);
            Ok(())
        });
    }
    command.status().expect("haul starts").success()
}

/// Makes a directory and everything in it the owner's alone.
fn set_private(directory: &Path) {
    for path in paths(directory).into_iter().chain([directory.to_path_buf()]) {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

fn paths(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a listing").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(paths(&path));
        }
        found.push(path);
    }
    found
}

/// Returns a new file that others may read.
fn first_wider(work: &Path, before: &[std::path::PathBuf]) -> Option<String> {
    paths(work).into_iter().filter(|path| path.is_file() && !before.contains(path)).find_map(|path| {
        let mode = path.metadata().ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then(|| format!("{mode:o} {}", path.strip_prefix(work).unwrap_or(&path).display()))
    })
}
