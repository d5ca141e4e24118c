"""The transformation that a film was shown by, as a value: for objects that tell a viewer to show it the same way."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lookup_tables import LookupTable, Rescale, Window

__all__ = ["Greyscale", "LookupTable", "Rescale", "Shutter", "Window"]


@dataclass(frozen=True)
class Shutter:
    """A display shutter that was obeyed (PS3.3 C.7.6.11), in rows and columns counted from 1.

    RECTANGULAR: (upper, lower, left, right). CIRCULAR: (row, column, radius). POLYGONAL: row, column of each vertex.
    """

    shape: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Greyscale:
    """From stored values to brightness, in the standard's order (PS3.4 N.2), as it was done and not as it was asked.

    Attributes:
        modality: None where there is none, or none that can be used.
        voi: the window or table that was applied; where the source gives none, a LINEAR window from the smallest to
            the largest value of the exposed film, in the units that `modality` gives.
        inverted: the smallest value is white.
        shutters: what hides the rest of the film.
    """

    modality: LookupTable | Rescale | None
    voi: Window | LookupTable
    inverted: bool
    shutters: tuple[Shutter, ...] = ()
