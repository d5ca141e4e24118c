"""A published archive: found by its record on figshare, fetched with resumption, checked, unpacked safely.

ArchiveError    the archive cannot be had, or is not what its record says    (permanent)
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from dicom_node.errors import NodeError

FIGSHARE = "https://api.figshare.com"
# doi 10.6084/m9.figshare.22363012
FRACATLAS = 22363012
_MOST_UNPACKED = 8 << 30


class ArchiveError(NodeError):
    """The archive cannot be had; the message names the address or the file, and the remedy."""


@dataclass(frozen=True)
class Archive:
    """One file of a published record; `size` in bytes."""

    title: str
    doi: str
    licence: str
    name: str
    url: str
    size: int
    md5: str


def find_archive(client: httpx.Client, base: str = FIGSHARE, article: int = FRACATLAS) -> Archive:
    """The largest zip file of a figshare record.

    Raises:
        ArchiveError: there is no answer, or it names no zip with its digest.
    """
    url = f"{base.rstrip('/')}/v2/articles/{article}"
    try:
        record: dict[str, Any] = client.get(url).raise_for_status().json()
        zips = [file for file in record["files"] if str(file["name"]).lower().endswith(".zip")]
        file = max(zips, key=lambda file: int(file["size"]))
        archive = Archive(
            str(record.get("title", "")),
            str(record.get("doi", "")),
            str((record.get("license") or {}).get("name", "not named")),
            PurePosixPath(str(file["name"])).name,
            str(file["download_url"]),
            int(file["size"]),
            str(file.get("computed_md5") or file.get("supplied_md5") or ""),
        )
    except httpx.HTTPError as error:
        raise ArchiveError(
            f"{url}: {error or type(error).__name__}; name another with --url"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{url}: no record of figshare that names a zip file ({error!r})") from error
    if not archive.md5:
        raise ArchiveError(f"{url}: names no digest of {archive.name}, so it could not be checked")
    return archive


def fetch(
    client: httpx.Client,
    archive: Archive,
    to: Path,
    *,
    moved: Callable[[int], None],
    pause: Callable[[float], None],
    tries: int = 5,
) -> None:
    """The archive as the file `to`. What came before a cut lies in `to.part` and is not asked for again.

    `moved` is told how many bytes are there; `pause` waits so many seconds before the next try; `tries` counts
    those that brought nothing.

    Raises:
        ArchiveError: nothing more comes, or the digest is another.
    """
    part = to.with_name(to.name + ".part")
    if to.is_file() and _md5(to) == archive.md5:
        moved(archive.size)
        return
    failed = 0
    while (have := part.stat().st_size if part.is_file() else 0) != archive.size:
        try:
            if have > archive.size:
                part.unlink()
                have = 0
            _more(client, archive, part, have, moved)
            error: httpx.HTTPError | None = None
        except httpx.HTTPError as cut:
            error = cut
        now = part.stat().st_size if part.is_file() else 0
        failed = 0 if now > have else failed + 1
        if failed >= tries:
            raise ArchiveError(
                f"{archive.url}: {now} of {archive.size} bytes came, then nothing more "
                f"({error or 'an empty answer'}); the same command goes on from there"
            )
        if now != archive.size:
            pause(min(2.0**failed, 30.0))
    moved(archive.size)
    digest = _md5(part)
    if digest != archive.md5:
        part.unlink()
        raise ArchiveError(
            f"{archive.url}: MD5 is {digest}, the record says {archive.md5}; what came is deleted, try again"
        )
    part.replace(to)


def _more(
    client: httpx.Client, archive: Archive, part: Path, have: int, moved: Callable[[int], None]
) -> None:
    """One request for what is missing; RFC 9110 14.2: a server may ignore Range and send everything."""
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", archive.url, headers=headers) as answer:
        answer.raise_for_status()
        goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ArchiveError(f"{archive.url}: answers with another range than was asked for")
        with part.open("ab" if goes_on else "wb") as file:
            # As the bytes come: larger chunks would be lost half full at a cut.
            for chunk in answer.iter_raw():
                file.write(chunk)
                moved(file.tell())


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def unpack(path: Path, to: Path, most: int = _MOST_UNPACKED) -> None:
    """A zip file's members, none outside `to`, no links, at most `most` bytes.

    Raises:
        ArchiveError: a member would lie elsewhere, is a link, or the file is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts or set(member.filename) & {"\\", ":"}:
                    raise ArchiveError(f"{path}: {member.filename!r} would lie outside; not unpacked")
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise ArchiveError(f"{path}: {member.filename!r} is a link; not unpacked")
            total = sum(member.file_size for member in members)
            if total > most:
                raise ArchiveError(f"{path}: would unpack to {total} bytes; not unpacked")
            archive.extractall(to, members)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ArchiveError(f"{path}: damaged, {error}; delete it and fetch it again") from error
