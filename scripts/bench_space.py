"""The measurements of `scripts/bench space`. Standard library only; started by that script."""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
SEED = 1


class Failed(Exception):
    pass


def timed(command, limit=None, may_fail=False):
    """Runs a command and returns what it took. `limit` is (resource, bytes)."""

    def before():
        if limit:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, preexec_fn=before)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        text = errors.read().decode(errors="replace").strip()
    if process.returncode != 0 and not may_fail:
        raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{text}")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "exit": process.returncode,
        "errors": text[-2000:] if process.returncode else "",
    }


def sync():
    os.sync()


class Space:
    """A generated space, and a place beside it to copy its log to."""

    def __init__(self, options, parent, nodes):
        self.bin = options.bin
        self.nodes = nodes
        self.root = Path(parent) / f"haul-bench-{os.getpid()}-{nodes}"
        self.space = self.root / "default"
        self.copy = self.root / "copy"

    def __enter__(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        timed([self.bin, "space", "generate", self.space, "--nodes", str(self.nodes), "--seed", str(SEED)])
        self.log = self.space / "wal"
        files = [path for path in self.log.iterdir() if path.is_file()]
        self.bytes = sum(path.stat().st_size for path in files)
        for path in files:  # warms the cache
            with path.open("rb", buffering=0) as file:
                while file.read(8 * MIB):
                    pass
        sync()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def clear(self):
        """Removes every target, outside of the timers."""
        for path in [self.copy, self.space / "migration", *self.space.glob("dual-*")]:
            shutil.rmtree(path, ignore_errors=True)
        (self.space / "CURRENT").unlink(missing_ok=True)
        sync()

    def migrate(self, *more, limit=None, may_fail=False):
        self.clear()
        command = [self.bin, "space", "migrate", "--space", self.space, "--restart", "--yes", "--progress", "none"]
        return timed([*command, "--json", *more], limit, may_fail)

    def cp(self, synced):
        self.clear()
        copy = ["cp", "-r", "--reflink=never", str(self.log), str(self.copy)]
        if not synced:
            return timed(copy)
        return timed(["sh", "-c", '"$@" && sync', "sh", *copy])


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def show(name, values, form):
    numbers = spread(values)
    print(f"  {name:<34}" + "".join(f"{form(numbers[key]):>14}" for key in ("median", "min", "max")))
    return numbers


def heading(text):
    print(f"\n{text}\n  {'':<34}{'median':>14}{'min':>14}{'max':>14}")


def two(value):
    return f"{value:.2f}"


def whole(value):
    return f"{value:,.0f}"


# "haul" reads every block back before it publishes; "moved" reads back the indexes alone, and so does what the others do
# and no more: both checksums, digests of source and target, duplicates, index, checkpoints, fsync.
VARIANTS = {
    "haul": [],
    "moved": ["--verify", "quick"],
    "moved, 1 worker": ["--verify", "quick", "--parallel-workers", "1"],
    "moved, 2 workers": ["--verify", "quick", "--parallel-workers", "2"],
}


def against_cp(space, rounds, synced):
    """Each round runs every variant of haul and the copy, starting with another one each time."""
    name = "cp + sync" if synced else "cp"
    sides = {variant: (lambda more=more: space.migrate(*more)) for variant, more in VARIANTS.items()}
    sides[name] = lambda: space.cp(synced)
    raw = []
    for number in range(rounds):
        order = list(sides)[number % len(sides):] + list(sides)[:number % len(sides)]
        raw.append({side: sides[side]() for side in order})
    space.clear()
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    for variant in VARIANTS:
        show(f"{variant} / {name}", [each[variant]["seconds"] / each[name]["seconds"] for each in raw], two)
    for variant in ("haul", "moved"):
        seconds = [each[variant]["seconds"] for each in raw]
        show(f"{variant}: nodes/s", [space.nodes / value for value in seconds], whole)
        show(f"{variant}: MB/s of log", [space.bytes / value / 1e6 for value in seconds], whole)
    for side in ("haul", "moved", name):
        show(f"{side}: CPU s", [each[side]["cpu_seconds"] for each in raw], two)
    show("haul: peak RSS MiB", [each["haul"]["peak_rss_bytes"] / MIB for each in raw], whole)
    speed_up = [each["moved, 1 worker"]["seconds"] / each["moved, 2 workers"]["seconds"] for each in raw]
    show("moved: speed-up of 2 workers over 1", speed_up, two)
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
        *budget, limit=(resource.RLIMIT_DATA, limit_bytes), may_fail=True)
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


def machine(directory):
    def text_of(command):
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        except OSError:
            return ""

    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "file_system": text_of(["stat", "-f", "-c", "%T", directory]),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB,
    }


def main():
    parser = argparse.ArgumentParser()
    for name in ("bin", "dir", "ram", "json", "commit", "command"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    options = parser.parse_args()
    options.bin = str(Path(options.bin).resolve())

    about = machine(options.dir)
    print(f"machine  {about['cpu']}, {about['cores']} cores, {about['memory_mib']} MiB, "
          f"Linux {about['kernel']}, {about['file_system']}")
    print(f"commit   {options.commit}")
    print(f"command  {options.command}")
    raw = {"machine": about, "commit": options.commit, "command": options.command, "nodes": options.nodes}

    def save():
        Path(options.json).write_text(json.dumps(raw, indent=1) + "\n")

    with Space(options, options.dir, options.nodes) as space:
        raw["log_bytes"] = space.bytes
        heading(f"on {about['file_system']}: {space.nodes:,} nodes, {space.bytes / 1e6:,.0f} MB, {options.rounds} rounds")
        raw["disk"] = against_cp(space, options.rounds, True)
        save()
    if options.ram:
        with Space(options, options.ram, options.nodes) as space:
            heading(f"on a RAM disk ({options.ram}): {space.nodes:,} nodes, {options.rounds} rounds")
            raw["ram"] = against_cp(space, options.rounds, False)
            save()
    raw["memory"] = memory(options, min(3, options.rounds))
    save()
    print(f"\nraw rounds in {options.json}")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"bench: {error}")
