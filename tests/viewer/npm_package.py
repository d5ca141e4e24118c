"""Packages of viewers as their makers publish them: fetched once, checked before each use, and never run by npm."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.real_parts import program, unavailable


@dataclass(frozen=True)
class NpmPackage:
    """`integrity`: the registry's own word for the bytes (`npm view NAME@VERSION dist.integrity`)."""

    name: str
    version: str
    integrity: str

    def file(self) -> Path:
        """The package's file; fetched when no earlier run left it in the user's cache.

        Fails in CI, skips elsewhere, when it can be had from nowhere.
        """
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        file = f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"
        kept = caches / "fracture-node-tests" / file
        if not kept.is_file() or _integrity(kept) != self.integrity:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                self._fetch(Path(folder)).replace(kept)
        return kept

    def _fetch(self, folder: Path) -> Path:
        named = f"{self.name}@{self.version}"
        command = [program("npm"), "pack", named, "--silent", "--pack-destination", str(folder)]
        # The version is named: nothing of the package is run, npm only brings it.
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        found = next(folder.glob("*.tgz"), None)
        if done.returncode != 0 or found is None:
            unavailable(f"npm could not fetch {named}: {done.stderr.strip() or done.stdout.strip()}")
        assert found is not None
        assert _integrity(found) == self.integrity, (
            f"{named} is not what it was when these tests were written"
        )
        return found


def files_in(file: Path, folder: str) -> dict[str, bytes]:
    """What a package has in a folder ("dist", "" for all of it), by path from there ("/index.html")."""
    begins, held = f"package/{folder}/".replace("//", "/"), {}
    with tarfile.open(file) as package:
        for member in package:
            content = package.extractfile(member) if member.isfile() else None
            if content is not None and member.name.startswith(begins):
                held["/" + member.name.removeprefix(begins)] = content.read()
    return held


def _integrity(file: Path) -> str:
    """As npm writes it (Subresource Integrity)."""
    return f"sha512-{base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()}"
