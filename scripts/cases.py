"""Runs cases and judges what they print. `scripts/cases` says how to call it."""

import argparse
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
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


class Absent(Exception):
    """Something that a case needs is not on this machine."""


@contextlib.contextmanager
def placed(directory, rule, options):
    """Yields the directory of a case. One that expects other folders beside the cases gets a copy with links to them."""
    beside = rule.get("beside", [])
    if not beside:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="haul-cases.") as place:
        place = pathlib.Path(place)
        for name in beside:
            variable = f"HAUL_{name.upper()}"
            folder = pathlib.Path(os.environ.get(variable, options.cases.resolve().parent / name)).resolve()
            if not folder.is_dir():
                raise Absent(f"there is no directory {folder}; set {variable}")
            (place / name).symlink_to(folder)
        copy = place / directory.relative_to(options.cases)
        # The other cases are not copied: what a case shares with them lies in its topic.
        shutil.copytree(directory, copy, symlinks=True)
        yield copy


@contextlib.contextmanager
def postgres(names):
    """Runs a private PostgreSQL server for the cases that want one, and names it in PG and SOCK. One that is named is kept."""
    wanted = any(name.startswith("db/") for name in names)
    there = subprocess.run(["scripts/postgres", "--check"], stderr=subprocess.DEVNULL).returncode == 0
    if not wanted or not there or "PG" in os.environ:
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen(["scripts/postgres", port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        os.environ["SOCK"] = server.stdout.readline().strip()
        os.environ["PG"] = f"postgres://postgres@127.0.0.1:{port}"
        print("start", file=server.stdin, flush=True)
        for _ in range(600):
            ask = ["psql", "-qX", os.environ["PG"] + "/postgres", "-c", "SELECT 1"]
            if subprocess.run(ask, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        yield
    finally:
        # The script ends the server when its standard input ends.
        server.stdin.close()
        server.wait()


@contextlib.contextmanager
def creating(binary):
    """Yields a program like the binary whose `db migrate` may create the database, as the cases expect of it."""
    with tempfile.TemporaryDirectory(prefix="haul-cases.") as place:
        program = pathlib.Path(place) / "haul"
        quoted = shlex.quote(str(binary.resolve()))
        program.write_text(f'#!/bin/sh\ncase "$1 $2" in "db migrate") exec {quoted} "$@" --create ;; esac\nexec {quoted} "$@"\n')
        program.chmod(0o755)
        yield program


def run(directory, rule, options):
    """Runs a case in a session of its own, so that whatever it leaves running can be ended. Returns its output."""
    environment = dict(os.environ, HAUL=str(options.program), REPO=os.getcwd(), NO_COLOR="1")
    case = subprocess.Popen(
        ["bash", str(directory / "cmd")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        output, _ = case.communicate(timeout=max(options.timeout, rule.get("seconds", 0)))
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
    cases = list(selected(rules, options.names))
    with postgres([name for name, _ in cases]), creating(options.bin) as options.program:
        counts = judged(cases, options)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    sys.exit(1 if counts["wrong"] else 0)


def judged(cases, options):
    """Runs and judges the cases. Returns how many there are of each verdict."""
    counts = {"right": 0, "wrong": 0, "not run": 0}
    for name, rule in cases:
        directory = options.cases / name
        if not (directory / "cmd").is_file():
            verdict, reason, seconds = "not run", "there is no such case", 0
        elif "instead" in rule:
            verdict, reason, seconds = "not run", rule["instead"], 0
        else:
            started = time.monotonic()
            try:
                with placed(directory, rule, options) as place:
                    output, ended = run(place, rule, options)
                (options.log / (name.replace("/", "-") + ".txt")).write_text(output)
                verdict, reason = judge(rule, output, ended)
            except Absent as absent:
                verdict, reason = "not run", str(absent)
            seconds = time.monotonic() - started
        counts[verdict] += 1
        print(f"{verdict:8} {seconds:6.1f} s  {name:46} {reason}".rstrip(), flush=True)
    return counts


main()
