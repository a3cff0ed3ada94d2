"""The measurements of `scripts/bench db`. Standard library only; started by that script."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench_common import (
    Failed, arguments, at_least_one, heading, in_rounds, main, show, show_ratio, timed, two, whole,
)

PARTS = ("migrations", "backfill", "many")
ENGINES = ("sqlite", "postgres")
DEBIAN = "/usr/lib/postgresql"
USER = "postgres"
START_TIMEOUT_S = 60
# However this script ends, the pipe closes and the server stops.
OWNER = '"$@" < /dev/null & read -r _; kill -INT $!; wait $!'

ONE_SHELL = "one shell"
RECORDING = "one shell that records"
SHELLS = "a shell each"
UPDATE = "one UPDATE"

FILL = {
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) SELECT n FROM c",
    "postgres": "SELECT n FROM generate_series(1, {rows}) n",
}


class Sqlite:
    """Databases that are files."""

    name = "sqlite"

    def __init__(self, root):
        self.root = root / "sqlite"
        self.root.mkdir()
        self.made = 0

    def fresh(self, template=None):
        self.made += 1
        database = self.root / f"{self.made}.db"
        if template:
            shutil.copyfile(template, database)
        os.sync()
        return database

    def url(self, database):
        return f"sqlite:{database}"

    def shell(self, database):
        return f"sqlite3 -batch -bail '{database}'"

    def discard(self, database):
        database.unlink()

    def stop(self):
        pass


class Postgres:
    """Databases of a server of its own, which syncs as it does by default."""

    name = "postgres"

    def __init__(self, root, programs):
        self.root = root / "postgres"
        self.root.mkdir()
        self.programs = programs
        self.user = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(USER)
            os.chown(self.root, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self.made = 0
        data = self.root / "data"
        self.program("initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "-D", data)
        command = [programs / "postgres", "-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.root}"]
        with (self.root / "log").open("wb") as log:
            self.server = subprocess.Popen(["sh", "-c", OWNER, "sh", *command], stdin=subprocess.PIPE, stdout=log, stderr=log,
                                           cwd=self.root, **self.user)
        self.wait()

    def program(self, name, *more):
        done = subprocess.run([self.programs / name, *more], capture_output=True, text=True, cwd=self.root, **self.user)
        if done.returncode != 0:
            raise Failed(f"{name}: {done.stderr}")

    def wait(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.sql("SELECT 1")
            except Failed:
                if time.monotonic() > deadline or self.server.poll() is not None:
                    raise
                time.sleep(0.1)

    def sql(self, text):
        self.program("psql", "-XqAt", "-h", self.root, "-U", USER, "-d", "postgres", "-c", text)

    def fresh(self, template="template0"):
        self.made += 1
        database = f"bench_{self.made}"
        self.sql(f"CREATE DATABASE {database} TEMPLATE {template or 'template0'}")
        self.sql("CHECKPOINT")
        return database

    def url(self, database):
        return f"postgres://{USER}@{str(self.root).replace('/', '%2F')}/{database}"

    def shell(self, database):
        return f"'{self.programs / 'psql'}' -Xq -v ON_ERROR_STOP=1 -h '{self.root}' -U {USER} -d {database}"

    def discard(self, database):
        self.sql(f"DROP DATABASE {database}")

    def stop(self):
        self.server.stdin.close()
        self.server.wait()


def programs_of_postgres():
    debian = sorted(Path(DEBIAN).glob("*/bin"), reverse=True)
    for directory in [*debian, *map(Path, os.environ["PATH"].split(":"))]:
        if all((directory / name).is_file() for name in ("initdb", "postgres", "psql")):
            return directory
    return None


class Scripts:
    """Small migrations: as files for haul, and for the shell each in a transaction of its own, by itself, all in one, and
    all in one with a row for each, as a runner without a log writes it."""

    def __init__(self, root, count):
        self.files, self.wrapped = root / "migrations", root / "wrapped"
        self.all, self.recording = root / "all.sql", root / "recording.sql"
        self.files.mkdir()
        self.wrapped.mkdir()
        texts, recorded = [], ["CREATE TABLE ledger (version BIGINT PRIMARY KEY, name TEXT, checksum TEXT, at TEXT);\n"]
        for number in range(1, count + 1):
            text = (f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n"
                    f"CREATE INDEX i{number} ON t{number} (name);\nINSERT INTO t{number} VALUES (1, 'one'), (2, 'two');\n")
            name = f"{number:04}_t{number}.sql"
            (self.files / name).write_text(f"-- Up\n{text}-- Down\nDROP TABLE t{number};\n")
            texts.append(f"BEGIN;\n{text}COMMIT;\n")
            row = f"INSERT INTO ledger VALUES ({number}, 't{number}', '{number:064}', CURRENT_TIMESTAMP);\n"
            recorded.append(f"BEGIN;\n{text}{row}COMMIT;\n")
            (self.wrapped / name).write_text(texts[-1])
        self.all.write_text("".join(texts))
        self.recording.write_text("".join(recorded))


def haul(options, engine, database, files, report):
    command = [options.bin, "db", "migrate", "--create", "--database", engine.url(database), "--dir", files, "--timeout", "600"]
    return ["sh", "-c", 'exec "$@" > "$0"', report, *command, "--progress", "none", "--json"]


def migrations(series, engine, root):
    options = series.options
    scripts = Scripts(root, options.migrations)
    heading(f"{options.migrations} migrations on {engine.name}, {options.rounds} rounds")

    def on_fresh(command):
        database = engine.fresh()
        try:
            return timed(command(database))
        finally:
            engine.discard(database)

    def one_shell(script):
        return lambda database: ["sh", "-c", f"{engine.shell(database)} < '{script}'"]

    def shells(database):
        return ["sh", "-ec", f"for file in '{scripts.wrapped}'/*.sql; do {engine.shell(database)} < \"$file\"; done"]

    sides = {
        "haul": lambda: on_fresh(lambda database: haul(options, engine, database, scripts.files, root / "report")),
        "haul again": lambda: on_fresh(lambda database: haul(options, engine, database, scripts.files, root / "report")),
        ONE_SHELL: lambda: on_fresh(one_shell(scripts.all)),
        RECORDING: lambda: on_fresh(one_shell(scripts.recording)),
        SHELLS: lambda: on_fresh(shells),
    }
    raw = in_rounds(sides, options.rounds)
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    for side in (ONE_SHELL, RECORDING, SHELLS, "haul again"):
        show_ratio(raw, "haul", side)
    for side in sides:
        show(f"{side}: CPU s of its processes", [each[side]["cpu_seconds"] for each in raw], two)
    show("haul: ms a migration", [1000 * each["haul"]["seconds"] / options.migrations for each in raw], two)
    series.keep(f"migrations {engine.name}", raw)


def many(series, engine, root):
    """A large number of files: one round, because what grows faster than their number shows in one."""
    options = series.options
    scripts = Scripts(root, options.many)
    heading(f"{options.many} migrations on {engine.name}, one round")
    databases = {}

    def run(name, command):
        databases.setdefault(name, engine.fresh())
        return timed(command(databases[name]))

    def by_haul():
        return run("haul", lambda database: haul(options, engine, database, scripts.files, root / "report"))

    sides = {
        "haul": by_haul,
        "haul, nothing to do": by_haul,
        RECORDING: lambda: run("shell", lambda database: ["sh", "-c", f"{engine.shell(database)} < '{scripts.recording}'"]),
    }
    raw = in_rounds(sides, 1)
    for side in sides:
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
        show(f"{side}: CPU s of its processes", [each[side]["cpu_seconds"] for each in raw], two)
    show_ratio(raw, "haul", RECORDING)
    series.keep(f"many {engine.name}", raw)
    for database in databases.values():
        engine.discard(database)


def backfill(series, engine, root):
    options = series.options
    files, report = root / "backfill", root / "report"
    files.mkdir()
    fill = FILL[engine.name].format(rows=options.rows)
    (files / "1_people.sql").write_text(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, seen INTEGER);\n"
        f"INSERT INTO people (id, name) SELECT n, 'Name ' || n FROM ({fill}) AS numbers;\n")
    template = engine.fresh()
    timed(haul(options, engine, template, files, report))
    (files / "2_seen.sql").write_text(
        "-- Batch: SELECT id FROM people\n-- haul: batch-rows=999\n"
        "UPDATE people SET seen = id % 7 WHERE id IN (SELECT id FROM haul_batch);\n")
    heading(f"a backfill of {options.rows:,} rows on {engine.name}, {options.rounds} rounds")

    def batched():
        database = engine.fresh(template)
        try:
            result = timed(haul(options, engine, database, files, report))
            pages = json.loads(report.read_text())["details"][0]["pages"]
            return {**result, "longest_lock_seconds": pages["longest_page_us"] / 1e6, "pages": pages["pages"]}
        finally:
            engine.discard(database)

    def update():
        database = engine.fresh(template)
        try:
            script = "UPDATE people SET seen = id % 7;"
            return timed(["sh", "-c", f"echo '{script}' | {engine.shell(database)}"])
        finally:
            engine.discard(database)

    raw = in_rounds({"haul": batched, UPDATE: update}, options.rounds)
    for side in ("haul", UPDATE):
        show(f"{side}: s", [each[side]["seconds"] for each in raw], two)
    show_ratio(raw, "haul", UPDATE)
    show("haul: longest lock, ms", [1000 * each["haul"]["longest_lock_seconds"] for each in raw], two)
    show(f"{UPDATE}: lock, ms (all of it)", [1000 * each[UPDATE]["seconds"] for each in raw], two)
    show("haul: rows/s", [options.rows / each["haul"]["seconds"] for each in raw], whole)
    print(f"  {raw[0]['haul']['pages']:,} pages")
    series.keep(f"backfill {engine.name}", raw)
    engine.discard(template)


def measure(series):
    options = series.options
    root = Path(options.dir).resolve() / f"haul-bench-{os.getpid()}-db"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    programs = programs_of_postgres()
    engines = {"sqlite": lambda: Sqlite(root)}
    if programs:
        engines["postgres"] = lambda: Postgres(root, programs)
    print(f"load     {os.getloadavg()[0]:.1f} at the start")
    try:
        for engine in (start() for name, start in engines.items() if name in options.engines):
            try:
                for part, work in (("migrations", migrations), ("backfill", backfill), ("many", many)):
                    place = root / f"{engine.name}-{part}"
                    place.mkdir()
                    if part in options.only:
                        work(series, engine, place)
            finally:
                engine.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f"load     {os.getloadavg()[0]:.1f} at the end")
    if not programs:
        print("PostgreSQL is not installed; left out")


def some_of(names):
    def chosen(text):
        found = set(text.split(","))
        if not found <= set(names):
            raise ValueError
        return found
    return chosen


if __name__ == "__main__":
    # What is begun is cleared away when the script is asked to end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped"))
    parser = arguments()
    parser.add_argument("--migrations", type=at_least_one, default=500)
    parser.add_argument("--many", type=at_least_one, default=5000)
    parser.add_argument("--rows", type=at_least_one, default=200_000)
    parser.add_argument("--only", type=some_of(PARTS), default=set(PARTS))
    parser.add_argument("--engines", type=some_of(ENGINES), default=set(ENGINES))
    main(parser, measure)
