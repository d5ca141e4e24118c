"""Whether an image for processing came with its own image for presentation."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

# The same exposure has the same of these; without a time there is nothing to go by.
_EXPOSURE = (
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionNumber",
    "ViewPosition",
    "ImageLaterality",
)


def has_presentation_twin(processing: Dataset, others: Sequence[Dataset]) -> bool:
    """True if one of `others` is for presentation and made from `processing`, or of the same exposure.

    A twin names its source (Source Image Sequence, PS3.3 C.7.6.1.1.4), or has the same acquisition time,
    number, view and laterality.
    """
    return any(
        other.get("SOPClassUID") == DigitalXRayImageStorageForPresentation
        and (_names(other, processing) or _same_exposure(other, processing))
        for other in others
    )


def _names(other: Dataset, processing: Dataset) -> bool:
    return any(
        item.get("ReferencedSOPInstanceUID") == processing.get("SOPInstanceUID")
        for item in other.get("SourceImageSequence") or ()
    )


def _same_exposure(other: Dataset, processing: Dataset) -> bool:
    if not processing.get("AcquisitionTime"):
        return False
    return all(str(other.get(word, "")) == str(processing.get(word, "")) for word in _EXPOSURE)
