"""The measurements of `scripts/bench estimate`: forecasts, and what came of them. Standard library only; started by that script.

Every round makes each store, asks for an estimate, migrates, and reads the grade from the report. The history is empty at
first and kept from round to round, as it is for a user.
"""

import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path

from bench_common import Failed, SEED, arguments, main


class Store:
    """One noun at one size: how it is made, estimated and migrated."""

    def __init__(self, noun, size, generate, where, report):
        self.noun, self.size, self.generate, self.where, self.report = noun, size, generate, where, report

    def name(self):
        return f"{self.noun} {self.size}"


def stores(options):
    objects = ["--objects", str(options.objects)]
    large = ["--objects", str(options.large), "--size-bytes-min", "1048576", "--size-bytes-max", "1048576"]
    for nodes in (30_000, 300_000, 1_000_000):
        if nodes <= options.nodes:
            yield Store("space", f"{nodes:,}", ["space", "generate", "s", "--nodes", str(nodes)], ["--space", "./s"],
                        "s/migration/report.json")
    cas = ["cas", "generate", "c", "--generation", "v0.5"]
    place = ["--source", "c", "--target", "v2"]
    yield Store("cas", f"{options.objects:,} small", [*cas, *objects], place, "v2.migration/report.json")
    yield Store("cas", f"{options.large:,} of 1 MiB", [*cas, *large], place, "v2.migration/report.json")
    for manifests in (10_000, 100_000):
        if manifests <= options.manifests:
            yield Store("manifest", f"{manifests:,}", ["manifest", "generate", "m", "--manifests", str(manifests)],
                        ["m"], "m/migration/report.json")


def graded(options, store, directory):
    """The forecast of one store, and what its migration took."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    environment = {**os.environ, "HAUL_HISTORY": str(Path(options.dir) / "history.jsonl")}

    def haul(*words):
        command = [options.bin, *words]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    haul(*store.generate, "--seed", str(SEED), "--progress", "none")
    os.sync()
    estimate = json.loads(haul(store.noun, "estimate", *store.where, "--for", options.probe, "--json", "--progress", "none"))
    os.sync()
    haul(store.noun, "migrate", *store.where, "--json", "--progress", "none")
    report = json.loads((directory / store.report).read_text())
    shutil.rmtree(directory)
    return {"store": store.name(), "estimate": estimate, "grade": report["grade"]}


def row(number, each):
    grade = each["grade"]
    predicted = grade["predicted"]
    mark = "yes" if grade["in_range"] else "NO"
    return (f"  {number:>3}  {each['store']:<24}{predicted['p10']:>9.2f}{predicted['p50']:>9.2f}{predicted['p90']:>9.2f}"
            f"{grade['actual']:>9.2f}   {mark}")


def share(raw):
    return sum(each["grade"]["in_range"] for each in raw) / len(raw) if raw else float("nan")


def measure(series):
    options = series.options
    (Path(options.dir) / "history.jsonl").unlink(missing_ok=True)
    heading_text = f"forecasts on {series.machine['file_system']}, {options.rounds} rounds, probes of {options.probe}"
    print(f"\n{heading_text}\n       {'store':<24}{'p10':>9}{'p50':>9}{'p90':>9}{'actual':>9}   in range")
    raw = []
    for _ in range(options.rounds):
        for store in stores(options):
            raw.append(graded(options, store, Path(options.dir) / f"haul-bench-{os.getpid()}"))
            print(row(len(raw), raw[-1]), flush=True)
            series.keep("estimates", raw)
    grades = [each["grade"] for each in raw]
    late = sum(grade["actual"] > grade["predicted"]["p90"] for grade in grades)
    early = sum(grade["actual"] < grade["predicted"]["p10"] for grade in grades)
    widths = [grade["predicted"]["p90"] / grade["predicted"]["p10"] for grade in grades]
    errors = [abs(grade["actual"] / grade["predicted"]["p50"] - 1) for grade in grades]
    print(f"  in range {share(raw):.0%} of {len(raw)}; after the first 9 {share(raw[9:]):.0%}; {late} later, {early} earlier")
    print(f"  median p90/p10 {statistics.median(widths):.2f}, median error {statistics.median(errors):.0%}")


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=30_000)
    parser.add_argument("--large", type=int, default=300)
    parser.add_argument("--manifests", type=int, default=100_000)
    parser.add_argument("--probe", default="4s")
    main(parser, measure)
