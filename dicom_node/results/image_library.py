"""The Image Library of a report (PS3.16 TID 1600, 1602): the images read, described by their own headers.

Built by hand: highdicom's raises where Patient Orientation is absent or empty, as in much CR.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr.value_types import RelationshipTypeValues
from pydicom.dataset import Dataset

from dicom_node.results import coded_concepts as codes
from dicom_node.results.source_context import header_site
from pipeline.findings import ImageFindings

_CONTAINS = RelationshipTypeValues.CONTAINS
_ACQUIRED = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(images: Sequence[tuple[Dataset, ImageFindings]]) -> Dataset:
    """The container with one group that holds every image, each with its normalised header and its reading."""
    group = sr.ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    group.ContentSequence = sr.ContentSequence(
        [_entry(header, findings) for header, findings in images]
    )
    library: Dataset = sr.ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=_CONTAINS)
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _entry(header: Dataset, findings: ImageFindings) -> Dataset:
    entry: Dataset = sr.ImageContentItem(
        codes.SOURCE, str(header.SOPClassUID), str(header.SOPInstanceUID), relationship_type=_CONTAINS
    )
    described = [*_anatomy(header), *_matrix(findings), *_orientation(header)]
    if described:
        entry.ContentSequence = sr.ContentSequence(described)
    return entry


def _anatomy(header: Dataset) -> list[Dataset]:
    site = header_site(header)
    named = (
        (codes.MODALITY, codes.MODALITIES.get(str(header.get("Modality") or ""))),
        (codes.TARGET_REGION, site.part),
        (codes.IMAGE_LATERALITY, site.laterality),
    )
    return [
        sr.CodeContentItem(name, code, relationship_type=_ACQUIRED)
        for name, code in named
        if code is not None
    ]


def _matrix(findings: ImageFindings) -> list[Dataset]:
    sizes = ((codes.PIXEL_DATA_ROWS, findings.rows), (codes.PIXEL_DATA_COLUMNS, findings.columns))
    return [
        sr.NumContentItem(name, size, unit=codes.PIXELS, relationship_type=_ACQUIRED)
        for name, size in sizes
        if size > 0
    ]


def _orientation(header: Dataset) -> list[Dataset]:
    """Patient Orientation (PS3.3 C.7.6.1.1.1), which says nothing unless both of its values are there."""
    given = header.get("PatientOrientation")
    directions = [given] if isinstance(given, str) else list(given or ())
    if len(directions) != 2 or not all(directions):
        return []
    names = (codes.PATIENT_ORIENTATION_ROW, codes.PATIENT_ORIENTATION_COLUMN)
    return [
        sr.TextContentItem(name, str(direction), relationship_type=_ACQUIRED)
        for name, direction in zip(names, directions, strict=True)
    ]
