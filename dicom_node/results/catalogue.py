"""Catalogues of translations: gettext's .po or .mo files, ours or a site's, read and judged whole."""

from __future__ import annotations

import string
import struct
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import PoFileError, read_po

from dicom_node.errors import CompositionError
from dicom_node.results.messages import Message, every_message
from dicom_node.results.site_file import SiteFile, read_site_file

LANGUAGES = Path(__file__).parent / "languages"
# The language of the messages themselves.
SOURCE_LANGUAGE = "en"
# LO: 64 letters and no backslash (PS3.5 6.2).
_LO = 64
_MO_MAGIC = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")


@dataclass(frozen=True)
class Translations:
    """The texts of a language by their English; `language` is an RFC 5646 tag, "" where the file has none."""

    name: str = field(compare=False)
    language: str
    digest: str
    texts: dict[str, str] = field(repr=False, compare=False)


def catalogue_file(language: str) -> Path:
    """The shipped catalogue of a language."""
    return LANGUAGES / f"{language}.po"


def _parse(file: SiteFile) -> Translations:
    try:
        if file.data[:4] in _MO_MAGIC:
            catalogue: Catalog = read_mo(BytesIO(file.data))
        else:
            catalogue = read_po(BytesIO(file.data), abort_invalid=True)
    except (PoFileError, OSError, ValueError, LookupError, struct.error) as error:
        raise CompositionError(
            f"{file.name}: no gettext catalogue ({error}); give a .po or .mo file"
        ) from error
    texts = {
        message.id: message.string
        for message in catalogue
        if isinstance(message.id, str)
        and isinstance(message.string, str)
        and message.id
        and message.string
        and not message.fuzzy
    }
    return Translations(
        file.name, (catalogue.locale_identifier or "").replace("_", "-"), file.digest, texts
    )


def read_catalogue(path: Path) -> Translations:
    """A catalogue that can be used: complete, with its places for values, and fit for its attributes.

    Raises:
        CompositionError: it cannot be used; the message names file, text and remedy.
    """
    return _usable(read_site_file(path))


@lru_cache(maxsize=16)
def _usable(file: SiteFile) -> Translations:
    translations = _parse(file)
    complaints = list(complaints_of(translations))
    if complaints:
        more = f"; and {len(complaints) - 1} more" if len(complaints) > 1 else ""
        raise CompositionError(f"{file.name}: {complaints[0]}{more}")
    return translations


def complaints_of(translations: Translations) -> Iterator[str]:
    """What is wrong with a catalogue, one sentence for each text."""
    try:
        Locale.parse(translations.language, sep="-")
    except (ValueError, UnknownLocaleError):
        given = translations.language
        yield f'"Language: {given}" in its header names no known language; give e.g. "Language: el"'
    for message in every_message():
        text = translations.texts.get(message)
        if text is None:
            yield f'"{message}" is not translated (or marked fuzzy); translate it'
            continue
        for judge in _JUDGES:
            complaint = judge(message, text)
            if complaint:
                yield f'"{message}" is translated as "{text}": {complaint}'
                break


def _places(text: str) -> set[str] | None:
    """The names in braces; None where braces do more, or do not match."""
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError:
        return None
    places = [piece[1:] for piece in pieces if piece[1] is not None]
    if any(how or kind or not str(name).isidentifier() for name, how, kind in places):
        return None
    return {str(name) for name, _, _ in places}


def _keeps_places(message: str, text: str) -> str:
    wanted, given = _places(message) or set(), _places(text)
    if given == wanted:
        return ""
    places = " and ".join(f"{{{name}}}" for name in sorted(wanted)) or "no braces"
    return f"keep {places}, and nothing else in braces"


def _fits_attribute(message: str, text: str) -> str:
    if "\\" in text or any(unicodedata.category(letter)[0] == "C" for letter in text):
        return "leave out backslashes, line ends and control characters"
    if message.endswith("(research only)") and len(text) > _LO:
        return f"a Series Description has {len(text)} of at most {_LO} letters; shorten it"
    return ""


def _has_decimal_mark(message: str, text: str) -> str:
    if message != Message.DECIMAL_MARK or (
        len(text) == 3 and text[0] == "0" and text[2] == "5" and not text[1].isalnum()
    ):
        return ""
    return 'write 0, the decimal mark and 5, e.g. "0,5"'


_JUDGES: tuple[Callable[[str, str], str], ...] = (_keeps_places, _fits_attribute, _has_decimal_mark)
