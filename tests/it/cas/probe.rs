//! An object store measured on a part of its objects, and what its migration needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::generated_store::generated;
use crate::support::old_store::OldStore;
use crate::support::store_runs::{eager, with};
use crate::support::taken::{Peak, assert_near};
use haul::cas::clean::{clean, clean_plan};
use haul::cas::format::encoding::Compress;
use haul::cas::generate::{GenerateOptions, GenerationMix};
use haul::cas::migrate::migrate;
use haul::cas::migrate::probe::CasProbe;
use haul::cas::options::{Linking, MigrateOptions};
use haul::durable::{Disk, RealDisk};
use haul::migration::probe::Probe;
use haul::migration::{RunOptions, SCRATCH_MARK};
use haul::pipeline::{Control, StopToken};

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn probe(store: &OldStore, options: &MigrateOptions) -> CasProbe {
    with(|control| CasProbe::open(disk(), &store.root(), &store.paths(), options, control)).unwrap()
}

fn options(generation: &str, objects: u64) -> GenerateOptions {
    let generation: GenerationMix = generation.parse().unwrap();
    let has_zstd = generation.members().iter().any(|member| member.compresses());
    GenerateOptions {
        objects,
        size_bytes_min: 64,
        size_bytes_max: 16 << 10,
        seed: 11,
        generation,
        layout: generation.layout(),
        zstd_share: if has_zstd { 0.3 } else { 0.0 },
        duplicate_share: 0.0,
        created_at: 1_700_000_000,
    }
}

/// Makes a sample in a directory of its own. Returns the paths of its files in the copy of the source.
fn sample(store: &OldStore, name: &str, objects: u64, seed: u64) -> BTreeSet<PathBuf> {
    let scratch = store.place().join(name);
    fs::create_dir(&scratch).unwrap();
    let drawn = with(|control| probe(store, &eager()).sample(&scratch, objects, seed, control)).unwrap();
    let files = tree(&scratch.join("source"));
    let source = tree(&store.root());
    assert!(files.iter().all(|(path, bytes)| source[path] == *bytes), "the same at the same place");
    let blobs: BTreeSet<_> = files.into_keys().filter(|path| path.extension().is_none()).collect();
    assert_eq!(blobs.len() as u64, drawn.amount.records);
    blobs
}

#[test]
fn a_sample_is_from_the_whole_store_and_its_seed_decides_which() {
    let store = generated(&options("v1.3-noindex", 400));
    let drawn = sample(&store, "first", 120, 1);
    assert_eq!(drawn.len(), 120);
    let mut all: Vec<_> = tree(&store.root()).into_keys().filter(|path| path.extension().is_none()).collect();
    all.sort();
    for (tenth, paths) in all.chunks(40).enumerate() {
        assert!(paths.iter().any(|path| drawn.contains(path)), "tenth {tenth}");
    }
    assert_eq!(sample(&store, "again", 120, 1), drawn);
    assert_ne!(sample(&store, "other", 120, 2), drawn);
    assert_eq!(sample(&store, "whole", 1_000, 2).len(), 400);
}

#[test]
fn a_sample_is_migrated_in_its_directory_whatever_the_generation() {
    for (generation, link, compress) in [
        ("flat", Linking::Never, Compress::AsStored),
        ("v0.5", Linking::Auto, Compress::AsStored),
        ("mixed", Linking::Never, Compress::Zstd(3)),
        ("v2", Linking::Never, Compress::Identity),
    ] {
        let store = generated(&options(generation, 60));
        let before = store.seen();
        let run = RunOptions { rate_limit: 1.try_into().ok(), ..eager().run };
        let probe = probe(&store, &MigrateOptions { link, compress, strict: true, run, ..eager() });
        let scratch = probe.scratch();
        assert_eq!(scratch.parent(), Some(store.place()));
        fs::create_dir(&scratch).unwrap();
        let drawn = with(|control| probe.sample(&scratch, 40, 3, control)).unwrap();
        with(|control| probe.run(&scratch, 10, control)).unwrap();
        let index = fs::read_to_string(scratch.join("target/index.ndjson")).unwrap();
        assert_eq!(index.lines().count() as u64, drawn.amount.records, "{generation}");
        let read = with(|control| probe.read(40, 3, control)).unwrap();
        assert_eq!((read.amount, read.refused), (drawn.amount, 0), "{generation}");
        assert!(read.cached_share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{read:?}");
        fs::remove_dir_all(&scratch).unwrap();
        assert_eq!(store.seen(), before, "{generation}");
        assert!(!store.target().exists());
    }
}

#[test]
fn an_empty_store_and_a_store_of_one_object_are_measured() {
    for (objects, store) in [(0, OldStore::new()), (1, OldStore::with_objects(1))] {
        let probe = probe(&store, &MigrateOptions { allow_empty: true, ..eager() });
        assert_eq!(probe.whole().records, objects);
        let scratch = probe.scratch();
        fs::create_dir(&scratch).unwrap();
        let drawn = with(|control| probe.sample(&scratch, 100, 1, control)).unwrap();
        assert_eq!(drawn.amount, probe.whole());
        with(|control| probe.run(&scratch, 10, control)).unwrap();
        assert_eq!(with(|control| probe.read(100, 1, control)).unwrap().amount, probe.whole());
    }
}

#[test]
fn damaged_objects_are_refused_and_do_not_break_a_sample() {
    let store = OldStore::with_objects(20);
    let mut blobs: Vec<_> = tree(&store.root()).into_keys().filter(|path| path.extension().is_none()).collect();
    blobs.sort();
    for path in &blobs[5..8] {
        fs::write(store.root().join(path), b"something else").unwrap();
    }
    let probe = probe(&store, &MigrateOptions { strict: true, ..eager() });
    let read = with(|control| probe.read(100, 1, control)).unwrap();
    assert_eq!((read.amount.records, read.refused), (20, 3));
    let scratch = probe.scratch();
    fs::create_dir(&scratch).unwrap();
    with(|control| probe.sample(&scratch, 100, 1, control)).unwrap();
    with(|control| probe.run(&scratch, 10, control)).unwrap();
    assert_eq!(fs::read_to_string(scratch.join("target/index.ndjson")).unwrap().lines().count(), 17);
}

#[test]
fn what_a_killed_estimate_leaves_is_cleaned_and_nothing_of_somebody_else() {
    let store = OldStore::with_objects(20);
    let probe = probe(&store, &eager());
    let scratch = probe.scratch();
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join(SCRATCH_MARK), "estimate").unwrap();
    for part in ["n-1", "n-2"] {
        let part = scratch.join(part);
        fs::create_dir(&part).unwrap();
        with(|control| probe.sample(&part, 10, 1, control)).unwrap();
        with(|control| probe.run(&part, 10, control)).unwrap();
    }
    fs::create_dir(store.place().join(".new.estimate-77.tmp")).unwrap();
    let foreign = store.place().join(".new.estimate-79.tmp");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis"), b"x").unwrap();
    let items = clean_plan(disk(), &store.paths()).unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    assert!(clean(disk(), &store.paths(), &items).unwrap().left.is_empty());
    let names: BTreeSet<_> = fs::read_dir(store.place()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".new.estimate-79.tmp", "new.migration", "old"].map(Into::into).into());
    assert!(foreign.join("thesis").exists());
}

/// Compares what the plan says with what is taken.
fn check_needs(what: &str, generate: &GenerateOptions, options: &MigrateOptions) {
    let store = generated(generate);
    let probe = probe(&store, options);
    let needs = probe.needs().unwrap();
    let peak = Peak::in_directory(store.place(), "old");
    let control = Control { stop: &StopToken::new(), observer: &peak };
    migrate(disk(), &store.root(), &store.paths(), options, &control).unwrap();
    peak.look();
    let (bytes, entries) = peak.most();
    assert_near(&format!("{what}, bytes"), needs.space_bytes, bytes);
    assert_near(&format!("{what}, inodes"), needs.inodes, entries);
    if options.compress == Compress::AsStored {
        let plan = probe.plan();
        assert_eq!((plan.space_needed_bytes, plan.inodes_needed), (needs.space_bytes, needs.inodes));
    }
    let items = clean_plan(disk(), &store.paths()).unwrap();
    clean(disk(), &store.paths(), &items).unwrap();
    assert_near(&format!("{what}, bytes after clean"), needs.space_after_clean_bytes, bytes_of(store.place()));
}

fn bytes_of(place: &Path) -> u64 {
    Peak::in_directory(place, "old").look().0
}

#[test]
fn what_a_run_needs_is_said_within_a_tenth_and_never_too_low() {
    let plain = MigrateOptions::default();
    for generation in ["v0.2", "flat", "v0.5", "v0.7", "v1.3-noindex", "v2"] {
        check_needs(generation, &options(generation, if generation == "v0.5" { 2_500 } else { 1_000 }), &plain);
    }
    let large = GenerateOptions { size_bytes_min: 1 << 20, size_bytes_max: 4 << 20, ..options("v0.5", 30) };
    check_needs("large objects", &large, &plain);
    check_needs("links", &options("v0.5", 1_000), &MigrateOptions { link: Linking::Auto, ..plain.clone() });
    for compress in [Compress::Zstd(3), Compress::Identity] {
        let options_of_run = MigrateOptions { compress, ..plain.clone() };
        check_needs(&compress.to_string(), &options("v2", 1_000), &options_of_run);
    }
    let run = RunOptions { memory_budget_bytes: 2 << 20, sort_memory_bytes_min: 16 << 10, ..plain.run };
    check_needs("sorted in files", &options("v0.5", 3_000), &MigrateOptions { run, ..plain });
}
