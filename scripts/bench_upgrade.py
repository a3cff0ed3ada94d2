"""The measurements of `scripts/bench upgrade`. Standard library only; started by that script."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench_common import MIB, Failed, arguments, at_least_one, heading, main, show, show_ratio, timed, two, whole

PHASES = ("freeze", "schema", "backfill", "verify", "cutover")
HAUL, PYTHON = "haul", "python's sqlite3"
SCRIPTS = Path(__file__).parent.parent / "src/upgrade/built_in/cortex_2_0"

# The same work, phase by phase, with the module of Python that everyone has: argument 1 is the phase, 2 the directory of the
# set, 3 that of the SQL files.
SAME_WORK = r'''
import glob, hashlib, json, os, re, sqlite3, sys
phase, directory, scripts = sys.argv[1:]
copies = os.path.join(directory, "python")
names = sorted(os.path.basename(path) for path in glob.glob(os.path.join(directory, "*.db")))

def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

def tables(connection):
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%fts%' ORDER BY 1"
    return [row[0] for row in connection.execute(sql)]

def content(connection, known=None):
    found = {}
    for table in tables(connection) if known is None else known:
        columns = known[table][0] if known else [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        quoted = " || '|' || ".join(f'quote("{column}")' for column in columns)
        digest = hashlib.sha256()
        for (row,) in connection.execute(f"SELECT {quoted} FROM {table} ORDER BY 1"):
            digest.update(row.encode() + b"\n")
        found[table] = (columns, digest.hexdigest())
    return found

def backup(source, target):
    to = sqlite3.connect(target)
    source.backup(to)
    to.close()
    sync(target)

if phase == "freeze":
    os.mkdir(copies)
    contents = {}
    for name in names:
        live = sqlite3.connect(os.path.join(directory, name))
        kept, staged = os.path.join(copies, name + ".backup"), os.path.join(copies, name)
        backup(live, kept)
        with open(kept, "rb") as file:
            hashlib.file_digest(file, "sha256")
        again = sqlite3.connect(kept)
        assert again.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        contents[name] = content(again)
        assert content(live) == contents[name]
        backup(again, staged)
    sync(copies)
    json.dump(contents, open(os.path.join(copies, "contents.json"), "w"))
elif phase == "schema":
    for name in names:
        tier = re.match(r"tier\d", name)[0]
        connection = sqlite3.connect(os.path.join(copies, name), isolation_level=None)
        for path in sorted(glob.glob(os.path.join(scripts, "*.sql"))):
            text = open(path).read()
            tiers = re.search(r"^-- tiers: (.*)$", text, re.M)
            if not tiers or tier not in tiers[1]:
                continue
            connection.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, text.split(";")):
                connection.execute(statement)
            connection.execute("COMMIT")
        connection.execute("PRAGMA quick_check").fetchall()
elif phase == "backfill":
    for name in names:
        if not name.startswith("tier1"):
            continue
        connection = sqlite3.connect(os.path.join(copies, name), isolation_level=None)
        connection.execute("""
            INSERT INTO conversation_actions(session_id, turn_number, action_type, description, metadata_json, created_at)
            SELECT conversation_id, turn, 'generation', substr(content, 1, 120),
                   json_object('synthetic', 1, 'message_id', message_id, 'role', role, 'source_timestamp', timestamp), timestamp
            FROM (SELECT m.*, row_number() OVER w AS turn, count(*) OVER (PARTITION BY m.conversation_id) AS turns
                  FROM messages m JOIN conversations c USING (conversation_id)
                  WHERE c.status = 'active' AND c.end_time IS NULL
                  WINDOW w AS (PARTITION BY m.conversation_id ORDER BY m.timestamp, m.message_id))
            WHERE turn > turns - 50""")
        connection.execute("""
            UPDATE conversations SET task_status = iif(status IN ('completed', 'ended'), 'done', 'open'), archived = 0,
                last_action_at = coalesce((SELECT max(timestamp) FROM messages m
                    WHERE m.conversation_id = conversations.conversation_id), end_time, start_time)""")
elif phase == "verify":
    contents = json.load(open(os.path.join(copies, "contents.json")))
    for name in names:
        connection = sqlite3.connect(os.path.join(copies, name))
        known = {table: tuple(found) for table, found in contents[name].items()}
        content(connection, known)
        connection.execute("PRAGMA integrity_check").fetchall()
        connection.execute("PRAGMA foreign_key_check").fetchall()
elif phase == "cutover":
    for name in names:
        os.replace(os.path.join(copies, name), os.path.join(directory, name))
    sync(directory)
'''


def build(options, root):
    """A set with one tier-1 database of shape A, as the generator of the conformance data makes it."""
    template = root / "set"
    command = [sys.executable, options.tiers, "build", str(template), "--shapes", "A",
               "--conversations", str(options.conversations), "--messages", str(options.messages)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise Failed(f"{' '.join(command)}\n{built.stderr}")
    return template


class Sets:
    def __init__(self, root, template):
        self.root, self.template, self.made = root, template, 0

    def fresh(self):
        self.made += 1
        directory = self.root / f"copy-{self.made}"
        directory.mkdir()
        for path in self.template.glob("*.db"):
            shutil.copyfile(path, directory / path.name)
        os.sync()
        return directory


def measure(series):
    options = series.options
    root = Path(options.dir) / "upgrade"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    template = build(options, root)
    sets = Sets(root, template)
    rounds = [one_round(options, sets) for _ in range(options.rounds)]
    series.keep("phases", rounds)
    size = sum(path.stat().st_size for path in template.glob("*.db")) / MIB
    heading(f"{options.conversations:,} conversations of {options.messages} messages, {size:.0f} MiB: seconds")
    for phase in PHASES:
        for side in (HAUL, PYTHON):
            show(f"{phase}, {side}", [each[phase][side]["seconds"] for each in rounds], two)
        show_ratio([each[phase] for each in rounds], HAUL, PYTHON)
    heading("peak memory of haul, MiB")
    for phase in PHASES:
        show(phase, [each[phase][HAUL]["peak_rss_bytes"] / MIB for each in rounds], whole)
    heading("the plan, seconds")
    show("plan", [each["plan"]["seconds"] for each in rounds], two)
    predictions(options, sets)
    shutil.rmtree(root)


def one_round(options, sets):
    """Each phase by both sides in turn, each on a set of its own."""
    of_haul, of_python = sets.fresh(), sets.fresh()
    taken = {"plan": timed([options.bin, "upgrade", "plan", of_haul, "--progress", "none"])}
    for number, phase in enumerate(PHASES):
        command = [options.bin, "upgrade", phase, of_haul, "--yes", "--progress", "none"]
        if phase == "cutover":
            command += ["--soak", "0"]
        sides = {
            HAUL: lambda: timed(command),
            PYTHON: lambda: timed([sys.executable, "-c", SAME_WORK, phase, of_python, SCRIPTS]),
        }
        order = list(sides) if number % 2 else list(reversed(sides))
        taken[phase] = {name: sides[name]() for name in order}
    for directory in (of_haul, of_python):
        shutil.rmtree(directory)
    return taken


def predictions(options, sets):
    """What the plan has predicted, and what it took."""
    directory = sets.fresh()
    plan = subprocess.run([options.bin, "upgrade", "plan", directory, "--json"], capture_output=True, text=True)
    plan = json.loads(plan.stdout)
    heading("predicted and taken, milliseconds (p10, p90, taken)")
    for phase in PHASES:
        command = [options.bin, "upgrade", phase, directory, "--yes", "--progress", "none"]
        taken = timed(command + (["--soak", "0"] if phase == "cutover" else []))["seconds"] * 1000
        estimate = next((each for each in plan["estimate"] if each["phase"] == phase), None)
        if estimate:
            within = "within" if estimate["p10_ms"] <= taken <= estimate["p90_ms"] else "outside"
            print(f"  {phase:<44}{estimate['p10_ms']:>12}{estimate['p90_ms']:>12}{taken:>12.0f}  {within}")
    shutil.rmtree(directory)


if __name__ == "__main__":
    parser = arguments()
    default = Path(os.environ.get("HAUL_CONFORMANCE", "../shared/conformance")) / "cortex/make_tiers.py"
    parser.add_argument("--tiers", default=str(default))
    parser.add_argument("--conversations", type=at_least_one, default=20_000)
    parser.add_argument("--messages", type=at_least_one, default=10)
    main(parser, measure)
