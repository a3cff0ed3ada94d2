"""What the measurements of all kinds of stores share. Standard library only."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fresh_file_systems import KINDS

MIB = 1 << 20
SEED = 1


class Failed(Exception):
    pass


# A process of its own: what the system reports as a program's peak memory is never less than what the process had that
# started it.
LAUNCHER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
def busy_seconds():
    user, nice, system, _, _, irq, softirq = map(int, open("/proc/stat").readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
busy_before = busy_seconds()
started = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
print(json.dumps({
    "seconds": time.monotonic() - started,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "user_seconds": usage.ru_utime,
    "system_seconds": usage.ru_stime,
    "busy_seconds": busy_seconds() - busy_before,
    "peak_rss_bytes": usage.ru_maxrss * 1024,
    "exit": os.waitstatus_to_exitcode(status),
}))
"""


def timed(command, before=None, may_fail=False):
    """Runs a command and returns what it took. `before` is called in the new process."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)]
    with tempfile.TemporaryFile() as errors:
        launched = subprocess.run(launcher, stdout=subprocess.PIPE, stderr=errors, preexec_fn=before)
        errors.seek(0)
        text = errors.read().decode(errors="replace").strip()
    if launched.returncode != 0:
        raise Failed(f"cannot start {command[0]}\n{text}")
    result = json.loads(launched.stdout)
    if result["exit"] != 0 and not may_fail:
        raise Failed(f"{' '.join(map(str, command))}: exit {result['exit']}\n{text}")
    return {**result, "errors": text[-2000:] if result["exit"] else ""}


# Kernel threads that write back work for a program and are not its time, so the time of all CPUs is there too.
COSTS = (("user CPU s", "user_seconds"), ("system CPU s", "system_seconds"), ("busy s, all CPUs", "busy_seconds"))


def calls_of(command, kinds=8):
    """The system calls that a command makes most often, each with its count; None where strace is missing."""
    if not shutil.which("strace"):
        return None
    with tempfile.NamedTemporaryFile() as counts:
        traced = ["strace", "-f", "-c", "-S", "calls", "-o", counts.name, *map(str, command)]
        done = subprocess.run(traced, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failed(f"{' '.join(traced)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        rows = [line.split() for line in Path(counts.name).read_text().splitlines()]
    # Columns: share, seconds, microseconds a call, calls, errors if there were any, name.
    named = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}
    return dict(sorted(named.items(), key=lambda item: -item[1])[:kinds])


def show_cost(raw, side):
    """What else than time a side has cost."""
    for name, key in COSTS:
        show(f"{side}: {name}", [each[side][key] for each in raw], two)
    if "device_bytes" in raw[0][side]:
        show(f"{side}: MB written to the device", [each[side]["device_bytes"] / 1e6 for each in raw], whole)


def show_calls(calls):
    """System calls by kind of each side, counted in a run of their own."""
    for side, counts in calls.items():
        text = "strace is not installed" if counts is None else ", ".join(f"{n} {c:,}" for n, c in counts.items())
        print(f"  {side}: system calls: {text}")


def in_rounds(sides, rounds):
    """Each round runs every side, starting with another one each time, and every other round backwards."""
    raw, names = [], list(sides)
    for number in range(rounds):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        if number % 2:
            order.reverse()
        raw.append({name: sides[name]() for name in order})
    return raw


def warm(paths):
    """Reads files, so that they are in the page cache."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(8 * MIB):
                pass


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def heading(text):
    print(f"\n{text}\n  {'':<44}{'median':>12}{'min':>12}{'max':>12}")


def show(name, values, form):
    numbers = spread(values)
    print(f"  {name:<44}" + "".join(f"{form(numbers[key]):>12}" for key in ("median", "min", "max")), flush=True)
    return numbers


def show_ratio(raw, one, other):
    """Of the seconds of two sides within a round."""
    show(f"{one} / {other}", [each[one]["seconds"] / each[other]["seconds"] for each in raw], two)


def two(value):
    return f"{value:.2f}"


def whole(value):
    return f"{value:,.0f}"


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


class Series:
    """One call of the script: its options, and the raw rounds as they come in."""

    def __init__(self, options):
        self.options = options
        self.machine = machine(options.dir)
        self.raw = {"machine": self.machine, "commit": options.commit, "command": options.command}

    def introduce(self):
        about = self.machine
        print(f"machine  {about['cpu']}, {about['cores']} cores, {about['memory_mib']} MiB, "
              f"Linux {about['kernel']}, {about['file_system']}")
        print(f"commit   {self.options.commit}")
        print(f"command  {self.options.command}", flush=True)

    def keep(self, name, rounds):
        self.raw[name] = rounds
        Path(self.options.json).write_text(json.dumps(self.raw, indent=1) + "\n")


def arguments():
    """A parser with the options of all measurements."""
    usage = "scripts/bench without arguments shows how"
    parser = argparse.ArgumentParser(prog="scripts/bench", usage=usage, add_help=False, allow_abbrev=False)
    for name in ("bin", "dir", "json", "commit", "command"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ram", default="/dev/shm")
    parser.add_argument("--rounds", type=at_least_one, default=5)
    return parser


def with_places(parser):
    """Adds the options of measurements that can be made on fresh file systems."""
    parser.add_argument("--fs", choices=KINDS, default="here")
    parser.add_argument("--on", choices=("disk", "ram"), default="disk")
    return parser


def at_least_one(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main(parser, measure):
    """Parses, measures, and says where the raw rounds are."""
    options = parser.parse_args()
    options.bin = str(Path(options.bin).resolve())
    series = Series(options)
    series.introduce()
    try:
        measure(series)
    except Failed as error:
        sys.exit(f"bench: {error}")
    print(f"\nraw rounds in {options.json}")
