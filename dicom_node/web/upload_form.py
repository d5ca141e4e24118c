"""A form with one file (RFC 7578), read as it comes: its file is handed on in pieces, the rest is short."""

from __future__ import annotations

import unicodedata

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dicom_node.web.problem import ProblemError
from dicom_node.web.reading_room import unread_problem
from pipeline.file_kind import START, FileKind, kind_of
from pipeline.findings import NotProcessed

FIELD = "file"
NAMELESS = "unnamed"
_LONGEST_NAME, _FIELD_BYTES, _MOST_PARTS = 120, 256, 12
# What people take for a film, so that the refusal can name it.
_STRANGERS = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"BM", "a BMP picture"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)


class UploadForm:
    """Takes the body of a request in pieces; what it learns is in its attributes.

    `name`: the file's, fit to be shown; `kind`: told by its first bytes; `fields`: what else was in the form.
    """

    def __init__(self, content_type: str, file_limit: int) -> None:
        """Raises ProblemError: 415 another kind of body, 400 one without a boundary."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise ProblemError(
                415, "Not a form", f"Send multipart/form-data with the film in its field {FIELD!r}."
            )
        self._limit = file_limit
        self.name, self.byte_count = "", 0
        self.kind: FileKind | None = None
        self.fields: dict[str, str] = {}
        self._start, self._arrived = bytearray(), bytearray()
        self._parts, self._has_file, self._whole = 0, False, False
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._field, self._text = "", bytearray()
        try:
            self._parser = MultipartParser(options.get(b"boundary", b""), self._callbacks())  # type: ignore[arg-type]
        except FormParserError as error:
            raise _broken() from error
        if not options.get(b"boundary"):
            raise _broken()

    def feed(self, piece: bytes) -> bytes:
        """What of the file was in this piece of the body.

        Raises:
            ProblemError: 400, 413, 415 or 422, as soon as that is certain.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _broken() from error
        arrived, self._arrived = bytes(self._arrived), bytearray()
        return arrived

    def finish(self) -> None:
        """After the last piece; raises as `feed` does."""
        if not self._whole:
            raise _broken()
        if not self._has_file:
            raise ProblemError(422, "No file", f"The form has no file in its field {FIELD!r}.")

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise ProblemError(422, "Too many fields", "Send one file, and flags.")
        self._disposition = b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open_part(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._text.clear()
        if self._field != FIELD:
            return
        if self._has_file:
            raise ProblemError(422, "More than one file", "Send them one by one.")
        self._has_file = True
        self.name = shown_name(options.get(b"filename", b"").decode("utf-8", "replace"))

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field == FIELD:
            self._take_of_file(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _FIELD_BYTES:
            raise ProblemError(422, "A field is too long", f"The film goes into the field {FIELD!r}.")

    def _take_of_file(self, data: bytes) -> None:
        self.byte_count += len(data)
        if self.byte_count > self._limit:
            raise too_large(self._limit)
        if self.kind is None:
            self._start += data[: START - len(self._start)]
            if len(self._start) == START:
                self._decide()
        self._arrived += data

    def _decide(self) -> None:
        start = bytes(self._start)
        self.kind = kind_of(start)
        if self.kind is None:
            said = next(
                (
                    words
                    for magic, words in _STRANGERS
                    if start.lstrip().lower().startswith(magic.lower())
                ),
                "",
            )
            raise unread_problem(
                415, NotProcessed.NOT_AN_IMAGE, f"it looks like {said}" if said else ""
            )

    def _end_part(self) -> None:
        if self._field != FIELD:
            self.fields[self._field] = self._text.decode("utf-8", "replace")
        elif not self.byte_count:
            raise unread_problem(422, NotProcessed.NOT_AN_IMAGE, "it is empty")
        elif self.kind is None:
            self._decide()

    def _end(self) -> None:
        self._whole = True


def shown_name(name: str) -> str:
    """A file's name as it may be shown: without folders, without what cannot be seen, not long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C")
    return seen.strip()[:_LONGEST_NAME] or NAMELESS


def too_large(limit: int) -> ProblemError:
    """The words for a file above the limit."""
    return ProblemError(
        413, "Too large", f"Files of up to {limit // 1_000_000} MB are taken ([web] upload_limit_mb)."
    )


def _broken() -> ProblemError:
    return ProblemError(400, "The form cannot be read", "It is no multipart/form-data, or was cut off.")
