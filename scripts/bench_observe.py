"""The measurements of `scripts/bench observe`: what it costs to watch a run. Standard library only; started by that script."""

import contextlib
import fcntl
import hashlib
import os
import resource
import socket
import subprocess
import threading
import time
import urllib.request

from bench_common import Failed, MIB, arguments, at_least_one, heading, in_rounds, main, show, spread, two
from bench_space import Space

SCRAPE_INTERVAL_SECONDS = 0.1
STUCK_STREAMS = 16
PIPE_BYTES = 4096
F_SETPIPE_SZ = 1031


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Run:
    """One migration that is watched in some way, and what it took."""

    def __init__(self, space):
        self.space = space

    def start(self, *more, stderr):
        self.space.clear()
        command = [self.space.bin, "space", "migrate", "--space", self.space.space, "--restart", "--yes", "--json", *more]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.before_seconds = before.ru_utime + before.ru_stime
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        return self

    def finish(self):
        status = self.process.wait()
        seconds = time.monotonic() - self.started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if status != 0:
            raise Failed(f"the run ended with {status}")
        cpu_seconds = after.ru_utime + after.ru_stime - self.before_seconds
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "digest": digest_of_store(self.space.space)}


def digest_of_store(space):
    """Of every byte of the store: whoever watches, they are the same."""
    digest = hashlib.blake2b()
    for path in sorted(path for store in space.glob("dual-*") for path in store.rglob("*") if path.is_file()):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            while part := file.read(4 * MIB):
                digest.update(part)
    return digest.hexdigest()


def unwatched(space):
    return Run(space).start("--progress", "none", stderr=subprocess.DEVNULL).finish()


def streamed(space):
    return Run(space).start("--progress", "events", stderr=subprocess.DEVNULL).finish()


def scraped(space):
    port = free_port()
    run = Run(space).start("--progress", "none", "--metrics-addr", f"127.0.0.1:{port}", stderr=subprocess.DEVNULL)
    scrapes, ended = [0], threading.Event()

    def scrape():
        while not ended.wait(SCRAPE_INTERVAL_SECONDS):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                scrapes[0] += bool(answer.read())

    thread = threading.Thread(target=scrape)
    thread.start()
    took = run.finish()
    ended.set()
    thread.join()
    return {**took, "scrapes": scrapes[0]}


@contextlib.contextmanager
def served(space):
    """`haul serve` on the space, with streams that nobody reads."""
    port = free_port()
    command = [space.bin, "serve", "--data-dir", str(space.root), "--listen", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    streams = []
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        for _ in range(STUCK_STREAMS):
            stream = socket.create_connection(("127.0.0.1", port), timeout=5)
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            streams.append(stream)
        yield
    finally:
        for stream in streams:
            stream.close()
        server.terminate()
        server.wait()


def stuck(space):
    """Nobody reads standard error, a scraper asks and does not read, and neither do the streams of `haul serve`."""
    port = free_port()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_BYTES)
    with served(space):
        run = Run(space).start("--progress", "events", "--metrics-addr", f"127.0.0.1:{port}", stderr=writer)
        os.close(writer)
        scraper = None
        for _ in range(50):
            with contextlib.suppress(OSError):
                scraper = socket.create_connection(("127.0.0.1", port), timeout=1)
                scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                break
            time.sleep(0.01)
        took = run.finish()
        if scraper:
            scraper.close()
    os.close(reader)
    return took


def measure(series):
    options = series.options
    sides = {
        "nobody looks": unwatched,
        "nobody looks, again": unwatched,
        "every event written": streamed,
        "scraped every 100 ms": scraped,
        "everybody stuck": stuck,
    }
    with Space(options, options.dir, options.nodes) as space:
        heading(f"on {series.machine['file_system']}: {space.nodes:,} nodes, {options.rounds} rounds")
        raw = in_rounds({name: (lambda side=side: side(space)) for name, side in sides.items()}, options.rounds)
        space.clear()
    for name in sides:
        show(f"{name}: s", [each[name]["seconds"] for each in raw], two)
    medians = {name: spread([each[name]["seconds"] for each in raw])["median"] for name in sides}
    cpu = {name: spread([each[name]["cpu_seconds"] for each in raw])["median"] for name in sides}
    for name in list(sides)[1:]:
        ratios = medians[name] / medians["nobody looks"], cpu[name] / cpu["nobody looks"]
        print(f"  {name}: ratio of medians {ratios[0]:.3f} of the time, {ratios[1]:.3f} of the processor time")
    digests = {each[name]["digest"] for each in raw for name in sides}
    print(f"  different stores: {len(digests)}")
    series.keep("observe", raw)


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--nodes", type=at_least_one, default=300_000)
    parser.set_defaults(rounds=7)
    main(parser, measure)
