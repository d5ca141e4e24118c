"""What kind of file may hold a film, by its first bytes; its name says nothing."""

from __future__ import annotations

from enum import StrEnum

PREAMBLE, PREFIX = 128, b"DICM"
# So many first bytes decide.
START = PREAMBLE + len(PREFIX)
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# A data set without preamble begins with group 0002 or 0008, least significant byte first or last.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


class FileKind(StrEnum):
    """A kind of file that is read."""

    DICOM = "DICOM"
    # May be something else after all: only reading it tells.
    BARE_DATA_SET = "DICOM without preamble"
    PNG = "PNG"
    JPEG = "JPEG"

    @property
    def is_dicom(self) -> bool:
        """Whether it holds a data set."""
        return self in (FileKind.DICOM, FileKind.BARE_DATA_SET)


def kind_of(start: bytes) -> FileKind | None:
    """The kind of a file that begins with `start` (`START` bytes, fewer only of a shorter file); None for any other."""
    if start.startswith(_PNG):
        return FileKind.PNG
    if start.startswith(_JPEG):
        return FileKind.JPEG
    if start[PREAMBLE:START] == PREFIX:
        return FileKind.DICOM
    return FileKind.BARE_DATA_SET if start[:2] in _FIRST_GROUPS else None
