"""Places for the targets of a measurement: a file system that was just made, or a directory. Standard library only.

Removing files changes how fast the next ones are created: ext4 without a journal does not use the inode of a deleted file
again for some seconds, and whoever creates files meanwhile pays for the search. So every measured run gets a file system of
its own in an image, which is thrown away after it. Without root, it gets a new directory, and old ones stay until the end.
"""

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

KINDS = ("here", "ext4", "xfs", "btrfs")
SECTOR_BYTES = 512
GIB = 1 << 30


def made_by(kind, inodes):
    """The command that makes the file system, without the image."""
    return {
        # Everything is written at once: what is put off would be written during a measurement.
        "ext4": ["mkfs.ext4", "-q", "-F", "-N", str(inodes), "-E", "lazy_itable_init=0,lazy_journal_init=0"],
        "xfs": ["mkfs.xfs", "-q", "-f"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"],
    }[kind]


def obstacle(kind):
    """Why such a file system cannot be made here, or None."""
    program = made_by(kind, 0)[0]
    if os.geteuid() != 0:
        return "only root can mount an image"
    if not shutil.which(program):
        return f"{program} is not installed"
    if not Path("/dev/loop-control").exists():
        return "this system has no loop devices"
    return None


class Here:
    """New directories below one that exists."""

    are_apart = False

    def __init__(self, parent):
        self.parent, self.count = Path(parent), 0

    def describe(self, file_system):
        return file_system

    @contextlib.contextmanager
    def next(self):
        self.count += 1
        directory = self.parent / f"place-{self.count}"
        directory.mkdir(parents=True)
        yield Place(directory, None)


class Images:
    """A file system in an image for each place."""

    are_apart = True

    def __init__(self, kind, parent, bytes_needed, files_needed, is_in_ram):
        self.kind, self.is_in_ram = kind, is_in_ram
        self.image = Path(parent) / f"haul-bench-{os.getpid()}.image"
        self.mount = Path(parent) / f"haul-bench-{os.getpid()}.mount"
        # The image is sparse, so room costs nothing.
        self.size_bytes = 4 * GIB + 2 * bytes_needed
        self.inodes = 100_000 + 2 * files_needed
        atexit.register(self.remove)

    def describe(self, _):
        return f"a fresh {self.kind} in an image {'in memory' if self.is_in_ram else 'on the disk'}"

    def remove(self):
        if os.path.ismount(self.mount):
            subprocess.run(["umount", self.mount], check=False)
        self.image.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.mount.rmdir()

    @contextlib.contextmanager
    def next(self):
        self.remove()
        self.mount.mkdir(parents=True)
        with open(self.image, "wb") as image:
            image.truncate(self.size_bytes)
        try:
            subprocess.run([*made_by(self.kind, self.inodes), self.image], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)
            yield Place(self.mount, loop_device(self.mount))
        finally:
            self.remove()


class Place:
    """Where one run puts its target."""

    def __init__(self, directory, device):
        self.directory, self.device = directory, device
        self.written_before = 0

    def settle(self):
        """Ends the preparations: nothing of them is written back during the run."""
        sync(self.directory)
        self.written_before = self.sectors_written()

    def spent(self):
        """What the run wrote to the device, after a sync."""
        sync(self.directory)
        sectors = self.sectors_written() - self.written_before
        return {"device_bytes": sectors * SECTOR_BYTES} if self.device else {}

    def sectors_written(self):
        return int(Path(f"/sys/block/{self.device}/stat").read_text().split()[6]) if self.device else 0


def sync(directory):
    subprocess.run(["sync", "-f", directory], check=True)


def loop_device(mount):
    """The name of the device that is mounted here, as in /sys/block."""
    for line in Path("/proc/mounts").read_text().splitlines():
        device, place = line.split()[:2]
        if place == str(mount):
            return re.sub("^/dev/", "", device)
    raise OSError(f"{mount} is not mounted")


def places(options, parent, bytes_needed, files_needed):
    """The places that the options ask for, or directories where the system does not give them."""
    why = None if options.fs == "here" else obstacle(options.fs)
    if options.fs == "here" or why:
        if why:
            print(f"warning: no fresh {options.fs}: {why}. Ratios measured next to removed files are of little worth.")
        return Here(parent)
    is_in_ram = options.on == "ram"
    if is_in_ram and not options.ram:
        sys.exit("bench: --on ram needs --ram DIR")
    # An end by a signal unmounts as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return Images(options.fs, options.ram if is_in_ram else options.dir, bytes_needed, files_needed, is_in_ram)
