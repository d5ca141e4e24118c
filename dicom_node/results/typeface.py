"""The letters of captures: Noto Sans, or a font of the site's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import pymupdf_fonts
from fontTools.ttLib import TTFont, TTLibError
from PIL import ImageFont

from dicom_node.errors import CompositionError
from dicom_node.results.site_file import SiteFile, read_site_file

Font = ImageFont.FreeTypeFont


@lru_cache(maxsize=1)
def own_typeface() -> SiteFile:
    """Noto Sans Regular: Latin with all its accents, Greek and Cyrillic; the same on every machine."""
    return SiteFile("Noto Sans", "", pymupdf_fonts.myfont("notos"))


def typeface_of(path: Path | None) -> SiteFile:
    """A site's font, or ours without one.

    Raises:
        CompositionError: the file cannot be read.
    """
    return own_typeface() if path is None else read_site_file(path)


@lru_cache(maxsize=64)
def font_of(size: int, typeface: SiteFile) -> Font:
    """The letters at a size in pixels.

    Raises:
        CompositionError: the file holds no font.
    """
    try:
        # Without the shaping library, which only some machines have: the same letters everywhere.
        return ImageFont.truetype(BytesIO(typeface.data), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise CompositionError(f"{typeface.name}: {error}; give a TrueType or OpenType file") from error


def missing_letters(typeface: SiteFile, texts: Iterable[str]) -> dict[str, str]:
    """Letters without a glyph, each with the first text that needs it.

    Raises:
        CompositionError: the file holds no font.
    """
    try:
        glyphs = _characters(typeface)
    except (TTLibError, OSError, ValueError, AssertionError, KeyError) as error:
        raise CompositionError(
            f"{typeface.name}: no font ({error}); give a TrueType or OpenType file"
        ) from error
    missing: dict[str, str] = {}
    for text in texts:
        for letter in text:
            if not letter.isspace() and ord(letter) not in glyphs:
                missing.setdefault(letter, text)
    return missing


def _characters(typeface: SiteFile) -> frozenset[int]:
    # Of a collection its first, as Pillow takes it.
    with TTFont(BytesIO(typeface.data), fontNumber=0, lazy=True) as font:
        return frozenset(font.getBestCmap() or ())
