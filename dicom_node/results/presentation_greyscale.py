"""How a film is to be shown, as the modules of a presentation state (PS3.3 C.7.6.11, C.11.1, C.11.6, C.11.8, C.11.12).

A viewer that applies a presentation state takes nothing of this from the image any more (PS3.4 N.2): what is left out
here is not done. So it says what the film was read by, and one thing only of each kind.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import format_number_as_ds

from dicom_node.identifiers import Shape
from pipeline.greyscale import Greyscale, LookupTable, Rescale, Shutter, Window

_EDGES = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
# Outside the shutter: black, a P-Value that no polarity turns round.
_BLACK = 0


def put_greyscale(ds: Dataset, greyscale: Greyscale, film: Dataset) -> None:
    """Adds the modules; `film` is the item that refers to the image, as it stands in a Referenced Image Sequence."""
    _put_modality(ds, greyscale.modality)
    voi = _voi_item(greyscale.voi)
    voi.ReferencedImageSequence = Sequence([film])
    ds.SoftcopyVOILUTSequence = Sequence([voi])
    # Photometric Interpretation says nothing under a presentation state: IDENTITY would show MONOCHROME1 inverted.
    ds.PresentationLUTShape = "INVERSE" if greyscale.inverted else "IDENTITY"
    if greyscale.shutters:
        _put_shutters(ds, greyscale.shutters)


def greyscale_shape(greyscale: Greyscale) -> Shape:
    """All that `put_greyscale` writes, for the identity of the object."""
    return {
        "modality": _step_shape(greyscale.modality),
        "voi": _step_shape(greyscale.voi),
        "inverted": greyscale.inverted,
        "shutters": [[shutter.shape, *shutter.numbers] for shutter in greyscale.shutters],
    }


def _step_shape(step: LookupTable | Rescale | Window | None) -> Shape:
    if isinstance(step, LookupTable):
        return step.digest
    return None if step is None else repr(step)


def _put_modality(ds: Dataset, modality: LookupTable | Rescale | None) -> None:
    """Modality LUT Module (C.11.1); units unspecified, as they matter to no one here."""
    if isinstance(modality, LookupTable):
        item = _table_item(modality.first, modality.entries)
        item.ModalityLUTType = "US"
        ds.ModalityLUTSequence = Sequence([item])
    elif modality is not None:
        ds.RescaleSlope = format_number_as_ds(modality.slope)
        ds.RescaleIntercept = format_number_as_ds(modality.intercept)
        ds.RescaleType = "US"


def _voi_item(voi: Window | LookupTable) -> Dataset:
    """An item of the Softcopy VOI LUT Sequence (C.11.8): exactly one window or one table."""
    item = Dataset()
    if isinstance(voi, LookupTable):
        # Brightness is an entry's share of its range, so that it may be written in any number of bits.
        spread = np.rint(voi.entries * (65535.0 / (2.0**voi.bits - 1.0))).astype(np.uint16)
        item.VOILUTSequence = Sequence([_table_item(voi.first, spread)])
        return item
    center, width = voi.center, voi.width
    if voi.function == "LINEAR_EXACT":
        # The same line as LINEAR (C.11.2.1.2.1, C.11.2.1.3.2), which renderers without VOI LUT Function know too.
        center, width = center + 0.5, width + 1.0
    elif voi.function != "LINEAR":
        item.VOILUTFunction = voi.function
    item.WindowCenter, item.WindowWidth = format_number_as_ds(center), format_number_as_ds(width)
    return item


def _table_item(first: int, entries: npt.NDArray[np.uint16]) -> Dataset:
    """LUT Descriptor and LUT Data (C.11.1.1, C.11.8.1): 65,536 entries are written as 0; of 8 and 16 bits always 16."""
    count = len(entries) % 65536
    item = Dataset()
    if first < 0:
        # The descriptor is then SS as a whole, and its count keeps its bits.
        signed = np.asarray([count], np.uint16).view(np.int16)
        item.add_new("LUTDescriptor", "SS", [int(signed[0]), first, 16])
    else:
        item.add_new("LUTDescriptor", "US", [count, first, 16])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def _put_shutters(ds: Dataset, shutters: tuple[Shutter, ...]) -> None:
    """Display Shutter Module with the Presentation State Shutter Module's grey (C.7.6.11, C.11.12)."""
    ds.ShutterShape = [shutter.shape for shutter in shutters]
    for shutter in shutters:
        if shutter.shape == "RECTANGULAR":
            for edge, number in zip(_EDGES, shutter.numbers, strict=True):
                setattr(ds, f"Shutter{edge}", number)
        elif shutter.shape == "CIRCULAR":
            ds.CenterOfCircularShutter = list(shutter.numbers[:2])
            ds.RadiusOfCircularShutter = shutter.numbers[2]
        else:
            ds.VerticesOfThePolygonalShutter = list(shutter.numbers)
    ds.ShutterPresentationValue = _BLACK
