//! A file or a directory below the store is swapped for a link, a pipe or something of another kind just before a system
//! call that uses it. Whatever a link leads to stays as it was, nothing waits for ever, and once the name is put back the same command
//! ends in the result of an undisturbed run.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::json;

use crate::command::{self, End, output};
use crate::judge::{self, Verdicts};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};
use crate::scene::{Scene, Scenes, Turn};
use crate::tracer::syscalls::{ALL, Names};
use crate::tracer::{Fault, Injection, Traced};
use crate::tree::{self, Tree, tree};

/// Swaps files.
pub const FILES: &str = "swaps";
/// Swaps directories.
pub const DIRECTORIES: &str = "directories";

/// Paths of the command line, and the objects of a store that is written to, which may be on a larger disk: links there are
/// the operator's, and followed. What lies below them is swapped.
const ROOTS: [&str; 10] = ["s", "old", "new", "new/objects", "app", "a.db", "m", "out", "refs", "content"];
/// Files that SQLite opens.
const OF_SQLITE: [&str; 3] = ["a.db-journal", "a.db-wal", "a.db-shm"];

/// What takes the place of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LinkToFile,
    LinkToDirectory,
    /// A link to a name that does not exist, in a directory that does.
    LinkToNothing,
    /// A link to a copy of the file or directory that was there.
    LinkToCopy,
    Pipe,
    Directory,
    File,
}

const INSTEAD_OF_FILES: [Kind; 6] =
    [Kind::LinkToFile, Kind::LinkToDirectory, Kind::LinkToNothing, Kind::LinkToCopy, Kind::Pipe, Kind::Directory];
const INSTEAD_OF_DIRECTORIES: [Kind; 5] =
    [Kind::LinkToFile, Kind::LinkToDirectory, Kind::LinkToCopy, Kind::Pipe, Kind::File];

/// Swaps one name, and puts it back.
struct Swap<'a> {
    work: &'a Path,
    /// Where what was there is kept.
    aside: PathBuf,
    /// What must stay as it is.
    victim: PathBuf,
    /// Whether the object of the call itself may be swapped, or only a directory above it.
    is_of_open: bool,
    /// Whether directories are swapped, or else files.
    of_directories: bool,
    random: RefCell<Rng>,
    done: RefCell<Option<Done>>,
}

struct Done {
    name: PathBuf,
    kind: Kind,
    was_there: bool,
    /// The inode of what was put there.
    inode: u64,
    victim: Tree,
}

pub struct Campaign<'a> {
    part: &'static str,
    options: &'a Options,
    turn: Turn,
    /// Trials in which there was nothing to swap.
    idle: u64,
}

impl<'a> Campaign<'a> {
    pub fn new(part: &'static str, options: &'a Options) -> Self {
        Self { part, options, turn: Turn::of(options), idle: 0 }
    }

    /// Makes one trial of the next scene.
    pub fn turn(&mut self, scenes: &mut Scenes<'_>, results: &mut Results) {
        let Some(scene) = scenes.next(&mut self.turn, self.part, results) else { return };
        let name = scene.script.name;
        let number = results.tried(self.part, name) + (self.idle << 20);
        let mut random = Rng::with_seed(self.options.seed ^ (number << 8) ^ 0x5eed);
        let of_directories = self.part == DIRECTORIES;
        let Some((call, at)) = choose(scene.counts(self.options), of_directories, &mut random) else { return };
        scene.reset();
        let swap = Swap::new(scene, ALL[call].name.starts_with("open"), of_directories, random);
        let hook = |object: &Path| swap.swap(object);
        let injection =
            Injection { root: &scene.work, call: Some(ALL[call].name), at, fault: Fault::Hook, hook: &hook };
        let traced = scene.trace(self.options, &injection);
        let Some(done) = swap.done.take() else {
            self.idle += 1;
            return;
        };
        let (verdict, detail) = judge(scene, self.options, &swap, &done, &traced);
        let shown = done.name.strip_prefix(&scene.work).unwrap_or(&done.name);
        results.record(&Trial {
            part: self.part,
            scene: name.into(),
            what: json!({
                "call": ALL[call].name,
                "at": at,
                "name": shown.display().to_string(),
                "by": format!("{:?}", done.kind),
                "was_there": done.was_there,
                "code": traced.code,
            }),
            verdict,
            detail,
        });
    }
}

/// Chooses a call with a path: opening twice as often as the others, which only say in which directory something is done.
fn choose(counts: &[u64], of_directories: bool, random: &mut Rng) -> Option<(usize, u64)> {
    let is_named = |index: &usize| ALL[*index].names == Names::PathAt || matches!(ALL[*index].names, Names::Path(_));
    let present: Vec<_> = (0..ALL.len()).filter(|index| counts[*index] > 0).filter(is_named).collect();
    let opening: Vec<_> = present.iter().copied().filter(|index| ALL[*index].name.starts_with("open")).collect();
    let opens = !of_directories || random.u8(..3) < 2;
    let from = if opens && !opening.is_empty() { &opening } else { &present };
    let call = *from.get(random.usize(..from.len().max(1)))?;
    Some((call, random.u64(1..=counts[call])))
}

impl<'a> Swap<'a> {
    fn new(scene: &'a Scene, is_of_open: bool, of_directories: bool, random: Rng) -> Self {
        let (aside, victim) = (scene.work.with_extension("aside"), scene.work.with_extension("victim"));
        for directory in [&aside, &victim] {
            command::remove(directory);
            fs::create_dir_all(directory.join("sub")).expect("a directory");
        }
        fs::write(victim.join("precious"), "precious").expect("a file");
        fs::write(victim.join("sub/precious"), "precious as well").expect("a file");
        Self {
            work: &scene.work,
            aside,
            victim,
            is_of_open,
            of_directories,
            random: random.into(),
            done: RefCell::new(None),
        }
    }

    /// Swaps the object of a call or a directory above it.
    fn swap(&self, object: &Path) {
        if self.done.borrow().is_some() {
            return;
        }
        let mut random = self.random.borrow_mut();
        let candidates = self.candidates(object);
        let Some(name) = candidates.get(random.usize(..candidates.len().max(1))) else { return };
        let there = name.symlink_metadata().ok();
        // A directory on the way to what does not exist yet is there; only the object may be missing.
        let kinds = match &there {
            Some(status) if status.is_dir() => &INSTEAD_OF_DIRECTORIES[..],
            Some(status) if !status.is_file() => return,
            _ => &INSTEAD_OF_FILES[..],
        };
        let kind = kinds[random.usize(..kinds.len())];
        let is_directory = there.as_ref().is_some_and(fs::Metadata::is_dir);
        let copy = self.victim.join("copy");
        match is_directory {
            true => command::copy(name, &copy),
            false if there.is_some() => drop(fs::copy(name, &copy).expect("a copy")),
            false => fs::write(&copy, "a file").expect("a file"),
        }
        let victim = tree(&self.victim, &|_| true);
        if there.is_some() {
            fs::rename(name, self.aside.join("it")).expect("the name is free");
        }
        self.place(kind, name);
        let inode = name.symlink_metadata().expect("it was just placed").ino();
        *self.done.borrow_mut() = Some(Done { name: name.clone(), kind, was_there: there.is_some(), inode, victim });
    }

    /// Returns the names that may be swapped.
    fn candidates(&self, object: &Path) -> Vec<PathBuf> {
        let Ok(relative) = object.strip_prefix(self.work) else { return Vec::new() };
        let above = relative.ancestors().skip(usize::from(!self.is_of_open));
        let is_open_to = |path: &&Path| {
            let text = path.to_string_lossy();
            !text.is_empty() && !ROOTS.contains(&&*text) && !OF_SQLITE.contains(&&*text) && !text.contains("..")
        };
        let paths = above.filter(is_open_to).map(|path| self.work.join(path));
        paths.filter(|path| path.is_dir() == self.of_directories).collect()
    }

    fn place(&self, kind: Kind, name: &Path) {
        let placed = match kind {
            Kind::LinkToFile => symlink(self.victim.join("precious"), name),
            Kind::LinkToDirectory => symlink(&self.victim, name),
            Kind::LinkToNothing => symlink(self.victim.join("new"), name),
            Kind::LinkToCopy => symlink(self.victim.join("copy"), name),
            Kind::Directory => fs::create_dir(name),
            Kind::File => fs::write(name, "not a directory"),
            Kind::Pipe => {
                let path = CString::new(name.as_os_str().as_bytes()).expect("no zero byte");
                // SAFETY: the path ends with a zero and is alive during the call.
                match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            }
        };
        placed.expect("the name is taken");
    }

    /// Removes what was placed, wherever it is now, and puts back what was there unless haul has made its name anew.
    fn undo(&self, done: &Done) {
        for path in placed(self.work, &self.victim, done.inode) {
            match path.symlink_metadata().is_ok_and(|status| status.is_dir()) {
                // It was empty. What haul has put into it since, where a directory belongs, is haul's and stays.
                true => drop(fs::remove_dir(&path)),
                false => fs::remove_file(&path).expect("it is removed"),
            }
        }
        let is_free = done.name.symlink_metadata().is_err() && done.name.parent().is_some_and(Path::is_dir);
        if done.was_there && is_free {
            fs::rename(self.aside.join("it"), &done.name).expect("it is back");
        }
    }
}

/// Returns where the thing with this inode, links to the victim and pipes are below a directory.
fn placed(directory: &Path, victim: &Path, inode: u64) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(status) = path.symlink_metadata() else { continue };
        let is_placed = status.ino() == inode
            || status.file_type().is_fifo()
            || fs::read_link(&path).is_ok_and(|target| target.starts_with(victim));
        if is_placed {
            found.push(path);
        } else if status.is_dir() {
            found.extend(placed(&path, victim, inode));
        }
    }
    found
}

fn judge(scene: &Scene, options: &Options, swap: &Swap<'_>, done: &Done, traced: &Traced) -> (Verdict, String) {
    let first = End { code: traced.code, text: output(&scene.work), is_hung: traced.is_hung };
    let victim = tree(&swap.victim, &|_| true);
    if victim != done.victim {
        return (Verdict::Lost, format!("written outside: {}", tree::difference(&done.victim, &victim)));
    }
    if let Some(bad) = judge::is_broken(&first) {
        return bad;
    }
    let is_said = |start: &str| first.text.lines().any(|line| line.trim_start().starts_with(start));
    // Single items that are refused are named: by a migration with exit 3, by a rollback with 70.
    if first.code != 0 && !is_said("error: ") && !([3, 70].contains(&first.code) && is_said("refused")) {
        return (Verdict::Misjudged, format!("exit {} without a reason: {}", first.code, first.text.trim()));
    }
    if first.text.contains("report this as a defect") {
        return (Verdict::Misjudged, format!("called a defect: {}", first.text.trim()));
    }
    swap.undo(done);
    let mut verdicts = Verdicts { scene, options, advice: Vec::new() };
    // Another source is no fault of the run: it says so, and is started over as it advises.
    let follows_advice = first.text.contains("source changed during the run");
    let (verdict, detail) = judge::after(&mut verdicts, &first, follows_advice);
    let said = first.text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    (verdict, if verdict.is_failure() { format!("{detail} ({said})") } else { detail })
}
