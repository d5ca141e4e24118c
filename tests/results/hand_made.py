"""Readings made by hand, and the objects composed of them, for the tests of this room."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset

from dicom_node.records import ResultObject, SopReference, StudyFindings, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.secondary_capture import compose_overlay
from dicom_node.results.source_context import header_digest
from dicom_node.results.structured_report import compose_report
from pipeline.findings import (
    BodyPart,
    ImageFindings,
    ModelIdentity,
    NotProcessed,
    Outcome,
    Region,
    Thresholds,
)
from pipeline.greyscale import Greyscale, Window
from pipeline.pixel_conversion import read_spacing
from pipeline.radiograph import Radiograph
from tests.phantoms import COLUMNS, ROWS, stored_values

MODEL = ModelIdentity("hand-made", "1.2.3", "sha256:" + "5e" * 32, "torch fp32")
THRESHOLDS = Thresholds(fracture=0.62, doubt=0.31)
CONTEXT = CompositionContext(
    installation_id=uuid.UUID("6f8d2b54-3d0e-4c59-8f6e-5b7a0c1d2e3f"),
    software_version="0.1.0",
    composed_at=datetime(2024, 5, 6, 22, 30, 15, tzinfo=UTC),
)
PROFILE = DestinationProfile("pacs", overlay_longest_side=512)

_READ: dict[str, Any] = {"rows": ROWS, "columns": COLUMNS, "model": MODEL, "thresholds": THRESHOLDS}
POSITIVE = ImageFindings(
    Outcome.FRACTURE,
    fracture_probability=0.8734,
    body_part=BodyPart("hand", 0.98),
    regions=(
        Region((50.0, 60.0, 90.5, 100.0), 0.81, Outcome.FRACTURE),
        Region((120.0, 20.0, 160.0, 60.0), 0.41, Outcome.DOUBT),
        Region((0.0, 0.0, 5.0, 6.0), 0.07, Outcome.NO_FRACTURE),
    ),
    **_READ,
)
DOUBTFUL = ImageFindings(
    Outcome.DOUBT,
    fracture_probability=0.41,
    body_part=BodyPart("leg", 0.7),
    regions=(Region((10.0, 20.0, 50.0, 60.0), 0.41, Outcome.DOUBT),),
    **_READ,
)
NEGATIVE = ImageFindings(
    Outcome.NO_FRACTURE,
    fracture_probability=0.04,
    body_part=BodyPart("shoulder", 0.9),
    regions=(Region((10.0, 20.0, 50.0, 60.0), 0.04, Outcome.NO_FRACTURE),),
    **_READ,
)
NOT_ATTEMPTED = ImageFindings(Outcome.NOT_PROCESSED, reason=NotProcessed.BODY_PART, **_READ)
FAILED = replace(NOT_ATTEMPTED, reason=NotProcessed.NO_DECODER, rows=0, columns=0)
READINGS = {
    "positive": POSITIVE,
    "doubt": DOUBTFUL,
    "negative": NEGATIVE,
    "not attempted": NOT_ATTEMPTED,
    "failed": FAILED,
}
PREDECESSOR = SopReference("1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4.5")


def study_image(source: Dataset, findings: ImageFindings) -> StudyImage:
    """A source with its reading, as the ledger gives it."""
    return StudyImage(
        instance_id=hashlib.sha256(str(source.SOPInstanceUID).encode()).hexdigest(),
        sop_instance_uid=str(source.SOPInstanceUID),
        sop_class_uid=str(source.SOPClassUID),
        pixel_digest=hashlib.sha256(source.get("PixelData", b"")).hexdigest(),
        header_digest=header_digest(source),
        findings=findings,
    )


def study_of(
    pairs: Sequence[tuple[Dataset, ImageFindings]], revision: int = 1
) -> tuple[StudyFindings, dict[str, Dataset]]:
    """A closed study of sources with their readings, and its headers."""
    study = StudyFindings(
        study_instance_uid=str(pairs[0][0].StudyInstanceUID),
        revision=revision,
        closed_at=CONTEXT.composed_at,
        images=tuple(study_image(source, findings) for source, findings in pairs),
    )
    return study, {str(source.SOPInstanceUID): source for source, _ in pairs}


def report(
    pairs: Sequence[tuple[Dataset, ImageFindings]],
    *,
    profile: DestinationProfile = PROFILE,
    context: CompositionContext = CONTEXT,
    revision: int = 1,
    predecessors: tuple[SopReference, ...] = (),
) -> ResultObject:
    """The report on sources with their readings."""
    study = StudyFindings(
        study_instance_uid=str(pairs[0][0].StudyInstanceUID),
        revision=revision,
        closed_at=context.composed_at,
        images=tuple(study_image(source, findings) for source, findings in pairs),
        predecessors=predecessors,
    )
    sources = {str(source.SOPInstanceUID): source for source, _ in pairs}
    return compose_report(study, sources, profile, context)


def radiograph_of(source: Dataset) -> Radiograph:
    """A phantom's values between 0 and 1, MONOCHROME2."""
    share = stored_values(source).astype(np.float32)
    low, high = float(share.min()), float(share.max())
    share = (share - low) / (high - low)
    inverted = source.PhotometricInterpretation == "MONOCHROME1"
    pixels = 1.0 - share if inverted else share
    window = Window((low + high + 1) / 2, high - low + 1, "LINEAR")
    greyscale = Greyscale(None, window, inverted)
    return Radiograph(pixels.astype(np.float32), None, read_spacing(source), 1.0, "digest", greyscale)


def overlay(
    source: Dataset,
    findings: ImageFindings,
    *,
    profile: DestinationProfile = PROFILE,
    context: CompositionContext = CONTEXT,
    radiograph: Radiograph | None = None,
    card: bool = False,
    instance_number: int = 1,
) -> ResultObject:
    """The overlay of a source with its reading; `card`: as if its pixels could not be had."""
    film = None if card else radiograph or radiograph_of(source)
    image = study_image(source, findings)
    return compose_overlay(
        image, source, film, profile, context, revision=1, instance_number=instance_number
    )


def read_back(result: ResultObject) -> FileDataset:
    """The object as pydicom reads it."""
    return pydicom.dcmread(io.BytesIO(result.data))
