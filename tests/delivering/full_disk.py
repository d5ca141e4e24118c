"""A disk without room: a small file system in memory, filled by a file `ballast`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.real_parts import missing, program


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A folder on a file system of 512 KiB with nothing free; it takes something once `ballast` is deleted."""
    folder.mkdir()
    mount = [program("mount"), "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"the right to mount ({made.stderr.strip()})", "mount, and run as root")
    try:
        with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        yield folder
    finally:
        subprocess.run([program("umount"), str(folder)], check=True)
