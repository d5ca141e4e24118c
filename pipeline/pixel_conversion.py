"""From a DICOM data set to a film in presentation values, in the standard's order (PS3.4 N.2).

Stored values; Modality LUT, else rescale; window or VOI LUT; inverted once for MONOCHROME1. Padding and what
lies behind shutter or collimator is masked before any statistics. Overlays are not drawn.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from pipeline.errors import UnreadableError
from pipeline.exposed_area import (
    SMALLEST_SHARE,
    Opening,
    exposed_area,
    opening_mask,
    read_openings,
    read_padding,
)
from pipeline.findings import NotProcessed
from pipeline.greyscale import Greyscale, Shutter
from pipeline.header_values import items_of, numbers_of, text_of, values_of
from pipeline.lookup_tables import (
    Levels,
    LookupTable,
    Rescale,
    Window,
    apply_lookup_table,
    apply_rescale,
    apply_voi_lookup_table,
    apply_window,
    invert,
    read_lookup_table,
    read_rescale,
    read_window,
    spread_levels,
)
from pipeline.pixel_data import (
    PixelDescription,
    StoredValues,
    describe_pixels,
    read_stored_values,
    transfer_syntax_of,
)
from pipeline.radiograph import FloatImage, Mask, Radiograph, Spacing

# A VOI that leaves less contrast than one grey level of a display shows nothing.
LEAST_CONTRAST = 1.0 / 255.0
# Rows converted at a time: numpy widens indices to eight bytes a pixel.
_STRIP = 256


@dataclass(frozen=True, eq=False)
class Presentation:
    """All in a header that decides how a stored value is shown.

    `modality_unusable`: there is a modality transformation, but it cannot be read; the window, in its units,
    then means nothing.
    """

    inverted: bool
    modality: LookupTable | Rescale | None
    modality_unusable: bool
    window: Window | None
    voi_table: LookupTable | None
    padding: tuple[int, int] | None
    openings: tuple[Opening, ...]


def read_radiograph(ds: Dataset) -> Radiograph:
    """The film of a CR or DX instance.

    A window goes before a VOI LUT Sequence, as in DCMTK's `dcmj2pnm +Wi 1`, and of several the first counts.
    Without either, or where they cannot be read or leave one grey level, the smallest value of the exposed
    area is black and the largest white. Pixels outside the exposed area are black.

    Raises:
        ScopeError: colour, more than one frame, or too large.
        UnreadableError: the pixels cannot be had, or are all the same.
    """
    description = describe_pixels(ds)
    values = read_stored_values(ds, description)
    presentation = read_presentation(ds, description)
    mask = exposed_area(values, presentation.padding, presentation.openings)
    present = levels_present(values, mask)
    if np.count_nonzero(present) < 2:
        raise UnreadableError(NotProcessed.BLANK)
    brightness, greyscale = level_brightness(_levels(values.dtype), present, presentation)
    pixels = _show(values, brightness.astype(np.float32))
    if mask is not None:
        pixels[~mask] = 0.0
    spacing = read_spacing(ds)
    return Radiograph(
        pixels=pixels,
        mask=mask,
        spacing=spacing,
        pixel_aspect=read_pixel_aspect(ds, spacing),
        pixel_digest=pixel_digest(values, presentation),
        greyscale=replace(greyscale, shutters=_shutters(presentation.openings, values)),
    )


def read_presentation(ds: Dataset, description: PixelDescription) -> Presentation:
    """The header's grey-level attributes; what is malformed is left out."""
    little = transfer_syntax_of(ds) != ExplicitVRBigEndian
    table = read_lookup_table(
        ds, "ModalityLUTSequence", signed=description.signed, little_endian=little
    )
    rescale = read_rescale(ds)
    claimed = bool(items_of(ds, "ModalityLUTSequence")) or bool(values_of(ds, "RescaleSlope"))
    modality = table or rescale
    # The input of a VOI LUT is negative only if stored values are, or rescale makes them so.
    negative = description.signed or (isinstance(modality, Rescale) and modality.intercept < 0)
    return Presentation(
        # Two ways to say the same thing (PS3.3 C.8.11.3.1.2): inverted once, whether one says it or both.
        inverted=description.photometric == "MONOCHROME1"
        or text_of(ds, "PresentationLUTShape") == "INVERSE",
        modality=modality,
        modality_unusable=claimed and modality is None,
        window=read_window(ds),
        voi_table=read_lookup_table(ds, "VOILUTSequence", signed=negative, little_endian=little),
        padding=read_padding(ds, description),
        openings=read_openings(ds),
    )


def level_brightness(
    levels: Levels, present: npt.NDArray[np.bool_], presentation: Presentation
) -> tuple[Levels, Greyscale]:
    """Brightness 0..1 of every level and what gave it; `present` says which levels the exposed film holds."""
    modality, modal = presentation.modality, levels
    if isinstance(modality, LookupTable):
        modal = apply_lookup_table(levels, modality)
    elif modality is not None:
        modal = apply_rescale(levels, modality)
    if not np.isfinite(modal).all() or np.ptp(modal[present]) == 0:
        modality, modal = None, levels
    chosen = None if presentation.modality_unusable else _choose_voi(modal, present, presentation)
    voi, shown = chosen or _spread(modal, present)
    inverted = presentation.inverted
    return invert(shown) if inverted else shown, Greyscale(modality, voi, inverted)


def _choose_voi(
    modal: Levels, present: npt.NDArray[np.bool_], presentation: Presentation
) -> tuple[Window | LookupTable, Levels] | None:
    """The window, else the VOI LUT, whichever first leaves some contrast; None if neither does."""
    candidates: list[tuple[Window | LookupTable, Levels]] = []
    if presentation.window is not None:
        candidates.append((presentation.window, apply_window(modal, presentation.window)))
    if presentation.voi_table is not None:
        table = presentation.voi_table
        candidates.append((table, apply_voi_lookup_table(modal, table)))
    return next((one for one in candidates if np.ptp(one[1][present]) >= LEAST_CONTRAST), None)


def _spread(modal: Levels, present: npt.NDArray[np.bool_]) -> tuple[Window, Levels]:
    """From the smallest value of the exposed film to the largest, and the LINEAR window that says so."""
    low, high = float(modal[present].min()), float(modal[present].max())
    # PS3.3 C.11.2.1.2.1: a LINEAR window of width w spans w - 1.
    window = Window((low + high) / 2.0 + 0.5, high - low + 1.0, "LINEAR")
    return window, spread_levels(modal, low, high)


def _shutters(openings: tuple[Opening, ...], values: StoredValues) -> tuple[Shutter, ...]:
    """The display shutters that leave a film to see, as `exposed_area` obeys them."""
    return tuple(
        Shutter(one.shape, one.numbers)
        for one in openings
        if one.device == "Shutter" and opening_mask(one, *values.shape).mean() >= SMALLEST_SHARE
    )


def _levels(dtype: np.dtype[np.generic]) -> Levels:
    """Every value of an integer type, in the order of its unsigned cells."""
    cells = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    return cells.view(dtype).astype(np.float64)


def _cells(values: StoredValues) -> npt.NDArray[np.unsignedinteger]:
    """The values as indices into `_levels`."""
    return values.view(f"u{values.dtype.itemsize}")


def levels_present(values: StoredValues, mask: Mask | None) -> npt.NDArray[np.bool_]:
    """Which levels occur where the mask is true, in the order of the unsigned cells."""
    present = np.zeros(1 << (8 * values.dtype.itemsize), np.bool_)
    cells = _cells(values)
    for top in range(0, len(cells), _STRIP):
        strip = cells[top : top + _STRIP]
        present[strip if mask is None else strip[mask[top : top + _STRIP]]] = True
    return present


def _show(values: StoredValues, brightness: FloatImage) -> FloatImage:
    """Each pixel's brightness, strip by strip to keep memory low."""
    cells = _cells(values)
    pixels = np.empty(values.shape, np.float32)
    for top in range(0, len(cells), _STRIP):
        pixels[top : top + _STRIP] = brightness[cells[top : top + _STRIP]]
    return pixels


def pixel_digest(values: StoredValues, presentation: Presentation) -> str:
    """sha256 of the stored values, their shape and the presentation: equal for every lossless transfer syntax."""
    shape = {
        "rows": values.shape[0],
        "columns": values.shape[1],
        "signed": values.dtype.kind == "i",
        "inverted": presentation.inverted,
        "modality": _describe(presentation.modality),
        "window": _describe(presentation.window),
        "voi_table": _describe(presentation.voi_table),
        "padding": presentation.padding,
        "openings": [asdict(opening) for opening in presentation.openings],
    }
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    words = "<i2" if values.dtype.kind == "i" else "<u2"
    for top in range(0, len(values), _STRIP):
        digest.update(values[top : top + _STRIP].astype(words).tobytes())
    return digest.hexdigest()


def _describe(step: LookupTable | Rescale | Window | None) -> object:
    if isinstance(step, LookupTable):
        return step.digest
    return None if step is None else asdict(step)


def read_spacing(ds: Dataset) -> Spacing | None:
    """Pixel Spacing where calibrated, else Imager Pixel Spacing at the detector (PS3.3 10.7.1.3)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        numbers = numbers_of(ds, keyword)
        if len(numbers) == 2 and min(numbers) > 0:
            return Spacing(numbers[0], numbers[1], keyword)
    return None


def read_pixel_aspect(ds: Dataset, spacing: Spacing | None) -> float:
    """Height of a pixel over its width, from the spacing or else Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7)."""
    if spacing is not None:
        return spacing.row_mm / spacing.column_mm
    ratio = numbers_of(ds, "PixelAspectRatio")
    if len(ratio) == 2 and min(ratio) > 0 and 0.1 <= ratio[0] / ratio[1] <= 10.0:
        return ratio[0] / ratio[1]
    return 1.0
