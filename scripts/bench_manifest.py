"""The measurements of `scripts/bench manifest`. Standard library only; started by that script."""

import os
import shutil
import sys
from pathlib import Path

from bench_common import (
    MIB, SEED, arguments, at_least_one, heading, in_rounds, main, show, show_ratio, timed, two, warm, whole,
)

PARTS = ("read", "migrate", "index", "memory")
MEMORY_BUDGET_MIB = 64

COPY = "cp -r"
COPY_SYNC = "cp -r + sync"
READ = "find | xargs cat"
REWRITE = "Python rewrite"

# What a user would write: load, add what is missing, keep a copy, dump. One thread, no sync.
PYTHON = """
import json, os, shutil, sys
for parent, _, names in os.walk(sys.argv[1]):
    if "manifest.json" not in names:
        continue
    path = os.path.join(parent, "manifest.json")
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    if value.get("schema_version", "1.0.0") == "1.2.0":
        continue
    value.setdefault("input_snapshots", {})
    value.setdefault("inputs_hash", None)
    value.setdefault("chain_metadata", {"is_chainable_stage": False, "prior_stages": []})
    value["schema_version"] = "1.2.0"
    shutil.copyfile(path, path + ".backup")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True, ensure_ascii=False)
"""


class Tree:
    """A generated tree, and copies of it that are migrated in place."""

    def __init__(self, options, parent, manifests):
        self.bin = options.bin
        self.manifests = manifests
        self.root = Path(parent) / f"haul-bench-{os.getpid()}-{manifests}"
        self.source = self.root / "source"
        self.copies = 0

    def __enter__(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        timed([self.bin, "manifest", "generate", self.source, "--manifests", str(self.manifests), "--seed", str(SEED),
               "--progress", "none"])
        warm(self.files())
        os.sync()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def files(self):
        for parent, _, names in os.walk(self.source):
            for name in names:
                yield Path(parent) / name

    def copy(self, then=""):
        """The time of a copy, and the copy, at rest. All stay until the end: see the measurements of cas."""
        self.copies += 1
        target = self.root / f"copy-{self.copies}"
        took = timed(["sh", "-c", f'cp -r --reflink=never "$1" "$2"{then}', "sh", self.source, target])
        os.sync()
        return took, target

    def migrate(self, tree, *more):
        command = [self.bin, "manifest", "migrate", tree, "--progress", "none", "--json", *more]
        took = timed(command)
        os.sync()
        return took


def read(series, tree):
    source = str(tree.source)
    find = 'find "$1" -name manifest.json -print0 | xargs -0 cat >/dev/null'
    sides = {
        "dry run": lambda: tree.migrate(source, "--dry-run"),
        "dry run again": lambda: tree.migrate(source, "--dry-run"),
        "list versions": lambda: tree.migrate(source, "--list-versions"),
        READ: lambda: timed(["sh", "-c", find, "sh", source]),
    }
    raw = in_rounds(sides, series.options.rounds)
    report(raw, sides, tree.manifests)
    for name in ("dry run", "dry run again", "list versions"):
        show_ratio(raw, name, READ)
    show_ratio(raw, "dry run", "dry run again")
    return raw


def report(raw, sides, manifests):
    for name in sides:
        show(f"{name}: s", [each[name]["seconds"] for each in raw], two)
    for name in sides:
        show(f"{name}: manifests/s", [manifests / each[name]["seconds"] for each in raw], whole)
    for name in sides:
        show(f"{name}: CPU s", [each[name]["cpu_seconds"] for each in raw], two)


def copied_and_migrated(tree, backwards):
    """One round: every copy that is timed is what is migrated next to it."""
    pairs = [
        (COPY, "", "haul --durability none", ["--durability", "none"]),
        (COPY_SYNC, " && sync", "haul --durability batch", []),
        ("cp -r again", "", "haul --durability none again", ["--durability", "none"]),
    ]
    took = {}
    for copy, then, haul, more in reversed(pairs) if backwards else pairs:
        took[copy], tree_copy = tree.copy(then)
        took[haul] = tree.migrate(tree_copy, *more)
    return took


def rewritten(sample, manifests):
    _, copy = sample.copy()
    took = timed([sys.executable, "-I", "-c", PYTHON, copy])
    os.sync()
    scale = manifests / sample.manifests
    return {key: took[key] * scale for key in ("seconds", "cpu_seconds")}


def migrate(series, tree, sample):
    raw = []
    for number in range(series.options.rounds):
        raw.append({**copied_and_migrated(tree, number % 2), REWRITE: rewritten(sample, tree.manifests)})
    report(raw, list(raw[0]), tree.manifests)
    show_ratio(raw, "haul --durability none", COPY)
    show_ratio(raw, "haul --durability none again", "cp -r again")
    show_ratio(raw, "haul --durability batch", COPY_SYNC)
    show_ratio(raw, REWRITE, "haul --durability none")
    show_ratio(raw, "haul --durability none", "haul --durability none again")
    peaks = [each["haul --durability batch"]["peak_rss_bytes"] / MIB for each in raw]
    show("haul --durability batch: peak RSS MiB", peaks, whole)
    print(f"  {REWRITE}: {sample.manifests:,} manifests measured and scaled")
    return raw


def index(series, tree):
    file = tree.root / "runs.sqlite"
    sides = {
        "reindex": lambda: timed([tree.bin, "manifest", "reindex", tree.source, "--sqlite", file, "--progress", "none"]),
        "query": lambda: timed([tree.bin, "manifest", "query", file, "--job", "job-000000", "--version", "1.1.0",
                               "--status", "completed"]),
    }
    raw = [{name: side() for name, side in sides.items()} for _ in range(series.options.rounds)]
    for name in sides:
        show(f"{name}: s", [each[name]["seconds"] for each in raw], two)
    return raw


def memory(series):
    options = series.options
    heading(f"memory, in {options.ram}: --memory-budget-mb {MEMORY_BUDGET_MIB} --durability none")
    medians, raw = {}, {}
    for manifests in (max(1, options.many // 100), options.many):
        with Tree(options, options.ram, manifests) as tree:
            budget = ["--memory-budget-mb", str(MEMORY_BUDGET_MIB)]
            took = {
                "dry run": tree.migrate(tree.source, "--dry-run", *budget),
                "migrate": tree.migrate(tree.source, "--durability", "none", *budget),
            }
        raw[manifests] = took
        for name, each in took.items():
            show(f"{manifests:,} manifests, {name}: peak RSS MiB", [each["peak_rss_bytes"] / MIB], whole)
            show(f"{manifests:,} manifests, {name}: s", [each["seconds"]], two)
    series.keep("memory", raw)


def measure(series):
    options = series.options
    if {"read", "migrate", "index"} & options.only:
        with Tree(options, options.dir, options.manifests) as tree, Tree(options, options.dir, options.sample) as sample:
            about = f"{options.manifests:,} manifests on {series.machine['file_system']}, {options.rounds} rounds"
            if "read" in options.only:
                heading(f"read, page cache warm: {about}")
                series.keep("read", read(series, tree))
            if "index" in options.only:
                heading(f"index: {about}")
                series.keep("index", index(series, tree))
            if "migrate" in options.only:
                heading(f"migrate: {about}")
                series.keep("migrate", migrate(series, tree, sample))
    if "memory" in options.only:
        if options.ram:
            memory(series)
        else:
            print("\nmemory: no RAM disk is named; left out")


def parts(text):
    chosen = set(text.split(","))
    if not chosen <= set(PARTS):
        raise ValueError
    return chosen


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--manifests", type=at_least_one, default=100_000)
    parser.add_argument("--sample", type=at_least_one, default=10_000)
    parser.add_argument("--many", type=at_least_one, default=1_000_000)
    parser.add_argument("--only", type=parts, default=set(PARTS))
    main(parser, measure)
