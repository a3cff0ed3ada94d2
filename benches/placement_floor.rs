//! The least that a store of many files costs: creates the files that `cas migrate` would create, and nothing else.
//!
//! `cargo bench --bench placement_floor -- --dir DIR [--objects N] [--threads T] [--order hash|key] [--bytes MIN-MAX]`
//! makes DIR/objects, which must not exist, and prints one line of JSON. `scripts/bench cas` calls it.

#![allow(clippy::disallowed_methods, reason = "it measures the system, not haul's disk")]

use std::env::args;
use std::fs::{File, create_dir, create_dir_all};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Length of a sidecar as haul writes it.
const SIDECAR_BYTES: usize = 280;

struct Options {
    dir: PathBuf,
    objects: u64,
    threads: usize,
    by_key: bool,
    bytes: Range<u64>,
}

struct Object {
    key: [u8; 32],
    len_bytes: usize,
}

fn main() {
    // Cargo adds an option of its own.
    let words: Vec<_> = args().skip(1).filter(|word| word != "--bench").collect();
    let options = parse(&words).expect("--dir DIR [--objects N] [--threads T] [--order hash|key] [--bytes MIN-MAX]");
    let mut objects: Vec<_> = (0..options.objects).map(|number| object(number, &options.bytes)).collect();
    if options.by_key {
        objects.sort_unstable_by_key(|object| object.key);
    }
    let root = options.dir.join("objects");
    create_dir(&root).expect("a new directory");
    let content = vec![7; SIDECAR_BYTES.max(options.bytes.end as usize)];
    let started = Instant::now();
    place(&objects, &root, &content, &options);
    let seconds = started.elapsed().as_secs_f64();
    println!(r#"{{"seconds":{seconds},"objects":{},"threads":{}}}"#, options.objects, options.threads);
}

fn parse(words: &[String]) -> Option<Options> {
    let mut options = Options { dir: PathBuf::new(), objects: 100_000, threads: 1, by_key: false, bytes: 64..16 << 10 };
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--dir" => options.dir = value.into(),
            "--objects" => options.objects = value.parse().ok()?,
            "--threads" => options.threads = value.parse().ok()?,
            "--order" => options.by_key = value == "key",
            "--bytes" => {
                let (least, most) = value.split_once('-')?;
                options.bytes = least.parse().ok()?..most.parse().ok()?;
            }
            _ => return None,
        }
    }
    (options.dir.is_dir() && options.threads > 0 && options.bytes.start > 0).then_some(options)
}

/// Lengths have the same share of each power of two, as those of generated stores.
fn object(number: u64, bytes: &Range<u64>) -> Object {
    let key = *blake3::hash(&number.to_le_bytes()).as_bytes();
    let share = f64::from(u32::from_le_bytes([key[28], key[29], key[30], key[31]])) / f64::from(u32::MAX);
    let (least, most) = (bytes.start as f64, bytes.end as f64);
    Object { key, len_bytes: (least * (most / least).powf(share)) as usize }
}

/// In the order of keys each thread has whole directories; in that of hashing each takes the next object.
fn place(objects: &[Object], root: &Path, content: &[u8], options: &Options) {
    let sets: Vec<_> = match options.by_key {
        true => objects.chunk_by(|a, b| a.key[0] == b.key[0]).collect(),
        false => objects.chunks(64).collect(),
    };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                while let Some(set) = sets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    set.iter().for_each(|object| create(object, root, content));
                }
            });
        }
    });
}

fn create(object: &Object, root: &Path, content: &[u8]) {
    let name = blake3::Hash::from_bytes(object.key).to_hex();
    let directory = root.join(&name[..2]).join(&name[2..4]);
    let blob = directory.join(name.as_str());
    let file = File::create_new(&blob).or_else(|_| {
        create_dir_all(&directory)?;
        File::create_new(&blob)
    });
    file.expect("a new blob").write_all(&content[..object.len_bytes]).expect("room");
    let sidecar = File::create_new(blob.with_extension("meta"));
    sidecar.expect("a new sidecar").write_all(&content[..SIDECAR_BYTES]).expect("room");
}
