//! Images of ext4, XFS and btrfs are taken while the binary writes to them, mounted under another device number and
//! resumed in. The image lies on XFS, which copies it at one instant by sharing its blocks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::command::{End, haul, output};
use crate::judge::{self, Verdicts};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};
use crate::scene::{Scene, Turn};

const PART: &str = "images";

/// File systems, how large their images are, how they are made, and how they are mounted.
const FILE_SYSTEMS: [(&str, u64, &[&str], &[&str]); 3] = [
    ("ext4", 64, &["mkfs.ext4", "-q", "-F"], &["commit=1", "commit=1,noauto_da_alloc", "commit=1,data=writeback"]),
    ("xfs", 300, &["mkfs.xfs", "-q", "-f"], &["noatime"]),
    ("btrfs", 128, &["mkfs.btrfs", "-q", "-f"], &["commit=1"]),
];
/// What the images share. It is sparse.
const HOST_MIB: u64 = 2_600;
/// Scenes whose images are kept at a time.
const KEPT_MAX: usize = 12;

pub struct Campaign<'a> {
    options: &'a Options,
    turn: Turn,
    /// Where the images lie.
    host: Mount,
    /// Where the file system is mounted that is tried.
    at: PathBuf,
    /// Scenes by file system and name, whose image holds what is prepared.
    scenes: BTreeMap<String, Scene>,
}

/// A file system that is mounted from an image until this is dropped.
struct Mount {
    at: PathBuf,
    device: String,
}

/// Runs a tool of the system. Returns what it says, or why it failed.
fn tool(words: &[&str]) -> Result<String, String> {
    let done = Command::new(words[0]).args(&words[1..]).output().map_err(|e| format!("{}: {e}", words[0]))?;
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    let problem = || format!("{}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    if done.status.success() { Ok(said) } else { Err(problem()) }
}

fn attach(image: &Path) -> Result<String, String> {
    tool(&["losetup", "--find", "--show", &image.to_string_lossy()])
}

impl Mount {
    fn new(image: &Path, at: &Path, options: &str) -> Result<Self, String> {
        Self::of(attach(image)?, at, options)
    }

    fn of(device: String, at: &Path, options: &str) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        match tool(&["mount", "-o", options, &device, &at.to_string_lossy()]) {
            Ok(_) => Ok(Self { at: at.to_path_buf(), device }),
            Err(problem) => {
                let _ = tool(&["losetup", "--detach", &device]);
                Err(problem)
            }
        }
    }

    /// Takes the file system away, and leaves its device.
    fn unmount(&self) -> Result<String, String> {
        tool(&["umount", &self.at.to_string_lossy()])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            let _ = tool(&["umount", "--lazy", &self.at.to_string_lossy()]);
        }
        let _ = tool(&["losetup", "--detach", &self.device]);
    }
}

fn make_image(path: &Path, mib: u64, make: &[&str]) -> Result<(), String> {
    let _ = fs::remove_file(path);
    let file = fs::File::create(path).map_err(|e| e.to_string())?;
    file.set_len(mib << 20).map_err(|e| e.to_string())?;
    let path = path.to_string_lossy();
    tool(&[make, &[&*path]].concat()).map(drop)
}

fn share(from: &Path, to: &Path) -> Result<(), String> {
    tool(&["cp", "--reflink=always", &from.to_string_lossy(), &to.to_string_lossy()]).map(drop)
}

impl<'a> Campaign<'a> {
    /// Returns nothing where this is not allowed, and says so.
    pub fn new(options: &'a Options) -> Option<Self> {
        let image = options.directory.join("host.image");
        fs::create_dir_all(&options.directory).expect("a directory");
        let made = make_image(&image, HOST_MIB, &["mkfs.xfs", "-q", "-f", "-m", "reflink=1"]);
        match made.and_then(|()| Mount::new(&image, &options.directory.join("host"), "noatime,discard")) {
            Ok(host) => {
                let at = options.directory.join("image");
                Some(Self { options, turn: Turn::of(options), host, at, scenes: BTreeMap::new() })
            }
            Err(problem) => {
                eprintln!(
                    "images are left out: they need root, loop devices, and mkfs of ext4, XFS and btrfs: {problem}"
                );
                None
            }
        }
    }

    /// Makes one trial of the next scene, on each file system in turn.
    pub fn turn(&mut self, results: &mut Results) {
        let count = self.turn.scripts.len();
        if count == 0 {
            return;
        }
        let script = self.turn.scripts[self.turn.next / FILE_SYSTEMS.len() % count];
        let system = self.turn.next % FILE_SYSTEMS.len();
        self.turn.next += 1;
        let scene = format!("{}-{}", script.name, FILE_SYSTEMS[system].0);
        let (what, (verdict, detail)) = match self.prepare(&scene, script, system) {
            Ok(()) => {
                let seed = self.options.seed ^ (results.tried(PART, &scene) << 8) ^ 0x1a6e;
                self.try_once(&scene, system, &mut Rng::with_seed(seed))
            }
            Err(problem) => (json!("prepared"), (Verdict::Stuck, problem)),
        };
        results.record(&Trial { part: PART, scene, what, verdict, detail });
    }

    fn image(&self, name: &str) -> PathBuf {
        self.host.at.join(format!("{name}.image"))
    }

    /// Makes the image of a scene, unless it is there.
    fn prepare(&mut self, name: &str, script: &'static crate::scene::Script, system: usize) -> Result<(), String> {
        if self.scenes.contains_key(name) {
            return Ok(());
        }
        if self.scenes.len() >= KEPT_MAX {
            std::mem::take(&mut self.scenes).keys().for_each(|old| drop(fs::remove_file(self.image(old))));
        }
        let (_, mib, make, mounting) = FILE_SYSTEMS[system];
        let image = self.image(name);
        make_image(&image, mib, make)?;
        let mounted = Mount::new(&image, &self.at, mounting[0])?;
        let scene = Scene::build(script, &self.at, self.options)?;
        scene.reset();
        tool(&["sync", "--file-system", &self.at.to_string_lossy()])?;
        drop(mounted);
        self.scenes.insert(name.to_owned(), scene);
        Ok(())
    }

    fn try_once(&self, name: &str, system: usize, random: &mut Rng) -> (serde_json::Value, (Verdict, String)) {
        let scene = &self.scenes[name];
        let mounting = FILE_SYSTEMS[system].3;
        let mounting = mounting[random.usize(..mounting.len())];
        // The first quarter is the start of the process. Later than the end: everything must be durable by then.
        let after = scene.duration.mul_f64(random.f64() * 1.3);
        let what = json!({"after_ms": after.as_millis() as u64, "mounted": mounting});
        let (live, crashed) = (self.image("live"), self.image("crashed"));
        let judged = share(&self.image(name), &live)
            .and_then(|()| self.crash(scene, &live, &crashed, after, mounting))
            .and_then(|device| Mount::of(device, &self.at, mounting))
            .map(|mounted| {
                let first = End { code: 137, text: output(&scene.work), is_hung: false };
                let mut verdicts = Verdicts { scene, options: self.options, advice: Vec::new() };
                let judged = judge::after(&mut verdicts, &first, false);
                drop(mounted);
                judged
            });
        for image in [live, crashed] {
            let _ = fs::remove_file(image);
        }
        (what, judged.unwrap_or_else(|problem| (Verdict::Stuck, problem)))
    }

    /// Runs the command in `live`, takes an image of it at a moment, and kills the command. Returns the device of the
    /// image, which has another number than that of `live` had.
    fn crash(
        &self,
        scene: &Scene,
        live: &Path,
        crashed: &Path,
        after: Duration,
        mounting: &str,
    ) -> Result<String, String> {
        let mounted = Mount::new(live, &self.at, mounting)?;
        let mut child = haul(&self.options.haul, &scene.work, &scene.command()).spawn().map_err(|e| e.to_string())?;
        std::thread::sleep(after);
        let shared = share(live, crashed);
        let _ = child.kill();
        let _ = child.wait();
        shared?;
        let device = attach(crashed)?;
        drop(mounted);
        // The kernel takes the device with the same id for the one that it knows.
        let _ = tool(&["btrfs", "device", "scan", "--forget"]);
        Ok(device)
    }
}
