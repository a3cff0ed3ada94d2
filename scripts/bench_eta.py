"""The measurements of `scripts/bench eta`: how good the time left is that runs show. Standard library only; started by that
script.

Of each run, the samples after the first tenth count. One is good if it is within a quarter of the truth or within two seconds.
"""

import json
import os
import subprocess
import threading
import time

from bench_common import Failed, arguments, at_least_one, main
from bench_space import Space

SKIPPED = 0.1
NEAR_SHARE = 0.25
NEAR_SECONDS = 2.0
RISE_MAX = 1.2


def followed(space, *more, killed_after=None):
    """Migrates, and returns how long it took and the times left that it showed, each with its moment."""
    command = [space.bin, "space", "migrate", "--space", space.space, "--progress", "json", "--progress-interval", "250ms", *more]
    environment = {**os.environ, "HAUL_HISTORY": "none"}
    began, shown = time.monotonic(), []
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    if killed_after is not None:
        threading.Timer(killed_after, run.kill).start()
    for line in run.stderr:
        line = json.loads(line)
        if line["type"] == "progress" and line["eta"] is not None:
            shown.append((time.monotonic() - began, line["eta"]["p50"]))
    status, seconds = run.wait(), time.monotonic() - began
    if killed_after is None and status != 0:
        raise Failed(f"the run ended with {status}")
    return seconds, shown


def limited(space, seconds, *more):
    return followed(space, "--rate-limit", str(space.nodes // seconds), *more)


def resumed(space, seconds):
    followed(space, "--rate-limit", str(space.nodes // seconds), "--checkpoint-interval", "2000", killed_after=seconds / 3)
    return followed(space, "--rate-limit", str(space.nodes // seconds), "--checkpoint-interval", "2000")


KINDS = {
    "free": lambda space, _: followed(space),
    "limited": lambda space, seconds: limited(space, seconds),
    "limit below the batch": lambda space, seconds: limited(space, seconds, "--batch-size", str(space.nodes // 4)),
    "verified for longer than it runs": lambda space, _: followed(space, "--verify", "full"),
    "resumed": resumed,
}


def judged(seconds, shown):
    """How many of the samples are good, and the largest rise from one to the next."""
    counted = [(at, left) for at, left in shown if at >= seconds * SKIPPED]
    good = [abs(left - (seconds - at)) <= max(NEAR_SHARE * (seconds - at), NEAR_SECONDS) for at, left in counted]
    rises = [later / earlier for (_, earlier), (_, later) in zip(counted, counted[1:]) if earlier >= 1]
    return {"seconds": seconds, "samples": len(good), "good": sum(good), "rise": max(rises, default=1.0)}


def measure(series):
    options = series.options
    print(f"\nthe time left on {series.machine['file_system']}, {options.nodes:,} nodes")
    print(f"       {'run':<36}{'seconds':>9}{'samples':>9}{'good':>7}{'largest rise':>14}")
    raw = []
    with Space(options, options.dir, options.nodes) as space:
        for name, run in KINDS.items():
            space.clear()
            found = {"run": name, **judged(*run(space, options.seconds))}
            raw.append(found)
            share = found["good"] / found["samples"] if found["samples"] else float("nan")
            mark = "" if found["rise"] <= RISE_MAX else "  more than allowed"
            print(f"       {name:<36}{found['seconds']:>9.1f}{found['samples']:>9}{share:>7.0%}{found['rise']:>14.2f}{mark}")
            series.keep("eta", raw)
        space.clear()


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--nodes", type=at_least_one, default=1_000_000)
    parser.add_argument("--seconds", type=at_least_one, default=25)
    main(parser, measure)
