"""The measurements of `scripts/bench space`. Standard library only; started by that script."""

import os
import resource
import shutil
import time
from pathlib import Path

from bench_common import (
    MIB, SEED, arguments, at_least_one, calls_of, heading, in_rounds, main, show, show_calls, show_cost, show_ratio, timed,
    two, warm, whole, with_places,
)
from fresh_file_systems import places


class Space:
    """A generated space, and a place next to it to copy its log to."""

    def __init__(self, options, parent, nodes):
        self.bin = options.bin
        self.nodes = nodes
        self.root = Path(parent) / f"haul-bench-{os.getpid()}-{nodes}"
        self.space = self.root / "default"
        self.copy = self.root / "copy"
        self.places = None

    def __enter__(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        timed([self.bin, "space", "generate", self.space, "--nodes", str(self.nodes), "--seed", str(SEED)])
        self.log = self.space / "wal"
        files = [path for path in self.log.iterdir() if path.is_file()]
        self.bytes = sum(path.stat().st_size for path in files)
        warm(files)
        os.sync()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def clear(self):
        """Removes every target, outside of the timers."""
        for path in [self.copy, self.space / "migration", *self.space.glob("dual-*")]:
            shutil.rmtree(path, ignore_errors=True)
        (self.space / "CURRENT").unlink(missing_ok=True)
        os.sync()

    def move_to(self, options):
        """Every run is made on a place that the options ask for, on a copy of the space."""
        self.places = places(options, self.root, 3 * self.bytes, 1000)

    def on(self, run):
        """Calls a function of a space and a path next to it for a copy, at rest."""
        if not self.places or not self.places.are_apart:
            self.clear()
            return run(self.space, self.copy)
        with self.places.next() as place:
            space = place.directory / "default"
            timed(["cp", "-r", self.space, space])
            warm((space / "wal").iterdir())
            place.settle()
            took = run(space, place.directory / "copy")
            return {**took, **place.spent()}

    def migration(self, space, *more):
        command = [self.bin, "space", "migrate", "--space", space, "--restart", "--yes", "--progress", "none"]
        return [*command, "--json", *more]

    def migrate(self, *more, before=None, may_fail=False):
        return self.on(lambda space, _: timed(self.migration(space, *more), before, may_fail))

    def calls(self, *more):
        """The system calls of a run of its own."""
        return self.on(lambda space, _: {"calls": calls_of(self.migration(space, *more))})["calls"]

    def cp(self, synced):
        copy = 'cp -r --reflink=never "$1" "$2"' + (' && sync -f "$2"' if synced else "")
        return self.on(lambda space, target: timed(["sh", "-c", copy, "sh", space / "wal", target]))


# "haul again" is the same command once more: how far it is from "haul" is how far equal programs differ here.
# "haul" reads every block back before it publishes; "moved" reads back the indexes alone, and so does what the others do
# and no more: both checksums, digests of source and target, duplicates, index, checkpoints, fsync.
VARIANTS = {
    "haul": [],
    "haul again": [],
    "moved": ["--verify", "quick"],
    "moved, 1 worker": ["--verify", "quick", "--parallel-workers", "1"],
    "moved, 2 workers": ["--verify", "quick", "--parallel-workers", "2"],
}


def against_cp(space, rounds, synced):
    """Each round runs every variant of haul and the copy, starting with another one each time."""
    name = "cp + sync" if synced else "cp"
    sides = {variant: (lambda more=more: space.migrate(*more)) for variant, more in VARIANTS.items()}
    sides[name] = lambda: space.cp(synced)
    raw = in_rounds(sides, rounds)
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    for variant in VARIANTS:
        show_ratio(raw, variant, name)
    for variant in ("haul", "moved"):
        seconds = [each[variant]["seconds"] for each in raw]
        show(f"{variant}: nodes/s", [space.nodes / value for value in seconds], whole)
        show(f"{variant}: MB/s of log", [space.bytes / value / 1e6 for value in seconds], whole)
    show_ratio(raw, "haul", "haul again")
    for side in ("haul", "moved", name):
        show_cost(raw, side)
    show("haul: peak RSS MiB", [each["haul"]["peak_rss_bytes"] / MIB for each in raw], whole)
    speed_up = [each["moved, 1 worker"]["seconds"] / each["moved, 2 workers"]["seconds"] for each in raw]
    show("moved: speed-up of 2 workers over 1", speed_up, two)
    show_calls({variant: space.calls(*VARIANTS[variant]) for variant in ("haul", "moved")})
    space.clear()
    return raw


def cgroup_with(limit_bytes):
    """A new memory cgroup with this limit, or None where this user cannot make one."""
    for root, limit_name in (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = Path(root) / f"haul-bench-{os.getpid()}"
        if not (Path(root) / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            with (group / limit_name).open("r+") as file:  # never creates it
                file.write(str(limit_bytes))
            return group
        except OSError:
            group.rmdir()
    return None


def limited(space, budget_mib, limit_bytes):
    """One run each under the limits that this system enforces."""
    budget = ["--memory-budget-mb", str(budget_mib)]
    results = {}
    group = cgroup_with(limit_bytes)
    if group:
        joined = ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh"]
        space.clear()
        command = [space.bin, "space", "migrate", "--space", space.space, "--restart", "--yes", "--progress", "none"]
        results["cgroup memory, page cache included"] = timed([*joined, *command, *budget], may_fail=True)
        time.sleep(0.2)  # the group is in use for a moment longer
        group.rmdir()
    else:
        print("  cgroup: none can be made here; left out")
    results["RLIMIT_DATA: private writable memory"] = space.migrate(
        *budget, before=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes)), may_fail=True)
    space.clear()
    for name, result in results.items():
        outcome = "finished" if result["exit"] == 0 else f"exit {result['exit']}: {result['errors']}"
        print(f"  {name}, {limit_bytes // MIB} MiB: {outcome}, "
              f"{result['seconds']:.2f} s, peak RSS {result['peak_rss_bytes'] / MIB:.0f} MiB")
    return results


def memory(options, rounds):
    budget_mib = 64
    print(f"\nmemory, --memory-budget-mb {budget_mib}")
    sizes = [max(1, options.nodes // 10), options.nodes]
    raw, medians = {}, []
    for nodes in sizes:
        with Space(options, options.dir, nodes) as space:
            runs = [space.migrate("--memory-budget-mb", str(budget_mib)) for _ in range(rounds)]
            peaks = [run["peak_rss_bytes"] / MIB for run in runs]
            medians.append(show(f"{nodes:,} nodes: peak RSS MiB", peaks, whole)["median"])
            raw[nodes] = {"free": runs}
            if nodes == options.nodes:
                print(f"  peak RSS of {sizes[1]:,} nodes over {sizes[0]:,}: {medians[1] / medians[0]:.3f}")
                raw[nodes]["limited"] = limited(space, budget_mib, (budget_mib + 64) * MIB)
    return raw


def measure(series):
    options, raw = series.options, series.raw
    raw["nodes"] = options.nodes
    with Space(options, options.dir, options.nodes) as space:
        raw["log_bytes"] = space.bytes
        space.move_to(options)
        heading(f"on {space.places.describe(series.machine['file_system'])}: {space.nodes:,} nodes, {space.bytes / 1e6:,.0f} MB, "
                f"{options.rounds} rounds")
        series.keep("disk", against_cp(space, options.rounds, True))
    if options.ram:
        with Space(options, options.ram, options.nodes) as space:
            heading(f"on a RAM disk ({options.ram}): {space.nodes:,} nodes, {options.rounds} rounds")
            series.keep("ram", against_cp(space, options.rounds, False))
    series.keep("memory", memory(options, min(3, options.rounds)))


if __name__ == "__main__":
    parser = with_places(arguments())
    parser.add_argument("--nodes", type=at_least_one, default=300_000)
    main(parser, measure)
