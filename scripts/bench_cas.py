"""The measurements of `scripts/bench cas`. Standard library only; started by that script."""

import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

from bench_common import (
    MIB, SEED, arguments, at_least_one, calls_of, heading, in_rounds, main, show, show_calls, show_cost, show_ratio, timed,
    two, warm, whole, with_places,
)
from fresh_file_systems import Here, places

PARTS = ("small", "large", "verify", "memory", "floor")
MEMORY_BUDGET_MIB = 64
GENERATION = "v0.2"

# Only creates the files, as many and as long as those of haul: what no program can be faster than.
FLOORS = {
    "floor: 1 thread, order of hashing": ["--threads", "1", "--order", "hash"],
    "floor: 2 threads, order of keys": ["--threads", "2", "--order", "key"],
}
COPY = "cp -r + sync"
LOOP = "five fsyncs an object"

# All write the same files but for --link, which gives the source's blobs a second name. "haul again" is the same command
# once more: how far it is from "haul" is how far equal programs differ here.
VARIANTS = {
    "haul": [],
    "haul again": [],
    "haul --link": ["--link"],
    "haul --durability none": ["--durability", "none"],
}


class Store:
    """A generated store, what haul makes of it, and places for targets."""

    def __init__(self, options, parent, objects, size_bytes):
        self.bin = options.bin
        self.objects = objects
        self.size_bytes = size_bytes
        self.root = Path(parent) / f"haul-bench-{os.getpid()}-{objects}"
        self.source = self.root / "source"
        self.finished = self.root / "finished" / "store"
        self.places = Here(self.root)

    def __enter__(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.finished.parent.mkdir(parents=True)
        smallest, largest = map(str, self.size_bytes)
        timed([self.bin, "cas", "generate", self.source, "--objects", str(self.objects), "--generation", GENERATION,
               "--size-bytes-min", smallest, "--size-bytes-max", largest, "--seed", str(SEED), "--progress", "none"])
        self.source_bytes = sum(path.stat().st_size for path in files_below(self.source))
        warm(files_below(self.source))
        os.sync()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def finish(self, options):
        """Makes the tree that copies are made of, the very files that haul writes, and the places for more of them."""
        timed(self.migration(self.finished))
        warm(files_below(self.finished))
        os.sync()
        # A source may be copied there as well, and a directory takes a block.
        files = 6 * self.objects
        self.places = places(options, self.root, 2 * self.source_bytes + 8192 * files, files)

    def migration(self, target, *more, source=None):
        command = [self.bin, "cas", "migrate", "--source", source or self.source, "--target", target]
        return [*command, "--progress", "none", "--json", *more]

    def in_place(self, command, with_source=False, run=timed):
        """Runs what `command` returns for a place for the target and one for the source."""
        with self.places.next() as place:
            source = self.source
            if with_source and place.device:
                source = place.directory / "source"
                timed(["cp", "-r", self.source, source])
                warm(files_below(source))
            place.settle()
            took = run(command(place.directory / "store", source))
            return {**took, **place.spent()} if run is timed else took

    def migrate(self, *more, run=timed):
        linked = "--link" in more
        return self.in_place(lambda target, source: self.migration(target, *more, source=source), linked, run)

    def floor(self, program, how):
        sizes = "-".join(map(str, self.size_bytes))
        how = ["--objects", str(self.objects), "--bytes", sizes, *how]
        floor = '"$@" && sync -f "$3"'
        return self.in_place(lambda target, _: ["sh", "-c", floor, "sh", program, "--dir", target.parent, *how])

    def copy(self):
        copy = 'cp -r --reflink=never "$1" "$2" && sync -f "$2"'
        return self.in_place(lambda target, _: ["sh", "-c", copy, "sh", self.finished, target])


def floor_program():
    """The path of the bench that creates files and nothing else."""
    build = ["cargo", "bench", "--locked", "--bench", "placement_floor", "--no-run", "--message-format", "json"]
    built = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, built.stdout.splitlines())
    return next(each["executable"] for each in messages if each.get("executable") and "bench" in each["target"]["kind"])


def files_below(directory):
    for parent, _, names in os.walk(directory):
        for name in names:
            yield Path(parent) / name


def blobs_below(store):
    return (path for path in files_below(store / "objects") if path.suffix != ".meta")


def sidecar_of(blob):
    return blob.with_name(f"{blob.name}.meta")


def sync_directory(path):
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


def put_file(path, content):
    """As the reference writes a blob or a sidecar: aside, synced, renamed, the directory synced."""
    temporary = path.with_name(f".tmp_{os.getpid()}")
    with temporary.open("wb", buffering=0) as file:
        file.write(content)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


def fsync_loop(store, sample):
    """Writes some of the finished objects one by one, five fsyncs each, and scales the time to all of them.

    Directories are there before the clock starts: a sample needs more of them an object than the whole.
    """
    blobs = sorted(blobs_below(store.finished))
    blobs = blobs[:: max(1, len(blobs) // sample)][:sample]
    with store.places.next() as place:
        return fsync_each(store, blobs, place)


def fsync_each(store, blobs, place):
    targets = [place.directory / path.relative_to(store.finished) for path in blobs]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    place.settle()
    cpu_before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    started = time.monotonic()
    with (place.directory / "index.ndjson").open("ab", buffering=0) as index:
        for blob, target in zip(blobs, targets):
            sidecar = sidecar_of(blob).read_bytes()
            put_file(target, blob.read_bytes())
            put_file(sidecar_of(target), sidecar)
            index.write(sidecar + b"\n")
            os.fsync(index.fileno())
    seconds = time.monotonic() - started
    cpu_seconds = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu_before
    scale = store.objects / len(blobs)
    return {"seconds": seconds * scale, "cpu_seconds": cpu_seconds * scale, "objects_measured": len(blobs)}


def against_cp(store, options):
    sides = {name: (lambda more=more: store.migrate(*more)) for name, more in VARIANTS.items()}
    sides[COPY] = store.copy
    sides[LOOP] = lambda: fsync_loop(store, options.fsync_sample)
    floors = FLOORS if "floor" in options.only else {}
    program = floor_program() if floors else None
    for name, how in floors.items():
        sides[name] = lambda how=how: store.floor(program, how)
    raw = in_rounds(sides, options.rounds)
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    for variant in VARIANTS:
        show_ratio(raw, variant, COPY)
    for floor in floors:
        show_ratio(raw, floor, COPY)
    show_ratio(raw, "haul", LOOP)
    show_ratio(raw, "haul", "haul again")
    seconds = [each["haul"]["seconds"] for each in raw]
    show("haul: objects/s", [store.objects / value for value in seconds], whole)
    show("haul: MB/s of blobs", [store.source_bytes / value / 1e6 for value in seconds], whole)
    for side in ("haul", "haul --link", COPY):
        show_cost(raw, side)
    show(f"{LOOP}: CPU s", [each[LOOP]["cpu_seconds"] for each in raw], two)
    for variant in VARIANTS:
        show(f"{variant}: peak RSS MiB", [each[variant]["peak_rss_bytes"] / MIB for each in raw], whole)
    show_calls({variant: store.migrate(*VARIANTS[variant], run=calls_of) for variant in ("haul", "haul --link")})
    measured = raw[0][LOOP]["objects_measured"]
    print(f"  {LOOP}: another durability policy; {measured:,} of {store.objects:,} objects measured and scaled")
    return raw


def b3sum_in(tools):
    """The program, installed if it is missing."""
    known = shutil.which("b3sum") or shutil.which("b3sum", path=Path(tools) / "bin")
    if not known:
        subprocess.run(["cargo", "install", "b3sum", "--locked", "--root", tools], check=True)
    return known or shutil.which("b3sum", path=Path(tools) / "bin")


def against_b3sum(store, options, b3sum):
    verify = [store.bin, "cas", "verify", store.finished, "--progress", "none", "--json"]
    blobs = 'find "$1/objects" -type f ! -name "*.meta" -print0 | xargs -0 "$2" > /dev/null'
    sides = {
        "verify": lambda: timed(verify),
        "verify again": lambda: timed(verify),
        "b3sum": lambda: timed(["sh", "-c", blobs, "sh", store.finished, b3sum]),
    }
    raw = in_rounds(sides, options.rounds)
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    show_ratio(raw, "verify", "b3sum")
    show_ratio(raw, "verify", "verify again")
    for side in sides:
        show(f"{side}: CPU s", [each[side]["cpu_seconds"] for each in raw], two)
    show("verify: peak RSS MiB", [each["verify"]["peak_rss_bytes"] / MIB for each in raw], whole)
    return raw


def stores(series, name, objects, size_bytes):
    """What is measured with one store: migrations, the verification of what they wrote, or both."""
    options = series.options
    if not {name, "verify"} & options.only:
        return
    with Store(options, options.dir, objects, size_bytes) as store:
        store.finish(options)
        about = (f"{objects:,} objects of {size_bytes[0]:,} to {size_bytes[1]:,} bytes, "
                 f"{store.source_bytes / 1e6:,.0f} MB, {options.rounds} rounds")
        if name in options.only:
            heading(f"migrate on {store.places.describe(series.machine['file_system'])}: {about}")
            series.keep(name, against_cp(store, options))
        if "verify" in options.only:
            heading(f"verify on {series.machine['file_system']}, page cache warm: {about}")
            series.keep(f"verify {name}", against_b3sum(store, options, b3sum_in(options.tools)))


def memory(series):
    options = series.options
    heading(f"memory, in {options.ram}: --memory-budget-mb {MEMORY_BUDGET_MIB}")
    medians, raw = {}, {}
    for objects in (max(1, options.tiny // 100), options.tiny):
        with Store(options, options.ram, objects, (64, 256)) as store:
            rounds = min(3, options.rounds)
            raw[objects] = [store.migrate("--memory-budget-mb", str(MEMORY_BUDGET_MIB)) for _ in range(rounds)]
            peaks = [each["peak_rss_bytes"] / MIB for each in raw[objects]]
            medians[objects] = show(f"{objects:,} objects: peak RSS MiB", peaks, whole)["median"]
            show(f"{objects:,} objects: s", [each["seconds"] for each in raw[objects]], two)
    few, many = medians
    print(f"  peak RSS of {many:,} objects over {few:,}: {medians[many] / medians[few]:.2f}; "
          f"budget and 64 MiB are {MEMORY_BUDGET_MIB + 64} MiB")
    series.keep("memory", raw)


def measure(series):
    options = series.options
    stores(series, "small", options.small, (64, 16 << 10))
    stores(series, "large", options.large, (1 << 20, 1 << 20))
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
    parser = with_places(arguments())
    parser.add_argument("--small", type=at_least_one, default=100_000)
    parser.add_argument("--large", type=at_least_one, default=1_000)
    parser.add_argument("--tiny", type=at_least_one, default=1_000_000)
    parser.add_argument("--fsync-sample", type=at_least_one, default=2_000)
    parser.add_argument("--only", type=parts, default=set(PARTS))
    parser.add_argument("--tools", required=True)
    main(parser, measure)
