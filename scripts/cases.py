"""Runs cases and judges what they print. `scripts/cases` says how to call it."""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import tomllib


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cases", type=pathlib.Path, required=True)
    parser.add_argument("--rules", type=pathlib.Path, required=True)
    parser.add_argument("--bin", type=pathlib.Path)
    parser.add_argument("--timeout", type=float, default=240)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    parser.add_argument("--log", type=pathlib.Path, default=target / "cases")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.bin is None:
        subprocess.run(["cargo", "build", "--release", "--locked"], check=True)
        options.bin = target / "release" / "haul"
    return options


def selected(rules, wanted):
    """The rules of the cases that were asked for, as (topic/name, rule)."""
    for topic, cases in rules.items():
        for name, rule in cases.items():
            if not wanted or topic in wanted or f"{topic}/{name}" in wanted:
                yield f"{topic}/{name}", rule


def run(directory, options):
    """Runs a case in a session of its own, so that whatever it leaves running can be ended. Returns its output."""
    environment = dict(os.environ, HAUL=str(options.bin.resolve()), REPO=os.getcwd(), NO_COLOR="1")
    case = subprocess.Popen(
        ["bash", str(directory / "cmd")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        output, _ = case.communicate(timeout=options.timeout)
        ended = True
    except subprocess.TimeoutExpired:
        os.killpg(case.pid, signal.SIGKILL)
        output, _ = case.communicate()
        ended = False
    return output.decode("utf-8", "replace"), ended


def shows(pattern, output):
    return re.search(pattern, output, re.MULTILINE) is not None


def judge(rule, output, ended):
    """Returns the verdict and what it rests on."""
    if not ended:
        return "wrong", "it did not end"
    if shows(r"panicked at|RUST_BACKTRACE", output):
        return "wrong", "a panic"
    for pattern in rule.get("reached", []):
        if not shows(pattern, output):
            return "not run", f"the output does not show /{pattern}/"
    for pattern in rule.get("right", []):
        if not shows(pattern, output):
            return "wrong", f"the output does not show /{pattern}/"
    for pattern in rule.get("wrong", []):
        if shows(pattern, output):
            return "wrong", f"the output shows /{pattern}/"
    return "right", ""


def main():
    options = arguments()
    rules = tomllib.loads(options.rules.read_text())
    options.log.mkdir(parents=True, exist_ok=True)
    counts = {"right": 0, "wrong": 0, "not run": 0}
    for name, rule in selected(rules, options.names):
        directory = options.cases / name
        if not (directory / "cmd").is_file():
            verdict, reason, seconds = "not run", "there is no such case", 0
        elif "instead" in rule:
            verdict, reason, seconds = "not run", rule["instead"], 0
        else:
            started = time.monotonic()
            output, ended = run(directory, options)
            seconds = time.monotonic() - started
            (options.log / (name.replace("/", "-") + ".txt")).write_text(output)
            verdict, reason = judge(rule, output, ended)
        counts[verdict] += 1
        print(f"{verdict:8} {seconds:6.1f} s  {name:46} {reason}".rstrip(), flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    sys.exit(1 if counts["wrong"] else 0)


main()
