"""Makes what `docs/results.md` shows: `python docs/make_examples.py` draws its pictures, `... REPORT` writes its report.

The films are drawn limbs and the findings are made up here: no model reads anything. Drawing and composing
are the product's own. The same checkout gives the same files.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset

from dicom_node import __version__
from dicom_node.identifiers import derive_uid
from dicom_node.operating.phantom_drawing import Limb
from dicom_node.operating.phantoms import phantom_instance
from dicom_node.records import ResultObject, StudyFindings, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.overlay_drawing import RgbImage, draw_card, draw_overlay
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
from pipeline.geometry import Box
from pipeline.pixel_conversion import read_radiograph

FOLDER = Path(__file__).resolve().parent / "images"
LONGEST_SIDE = 640
# Grey films with two colours: more would only make the files larger.
GREYS, COLOURS = 64, 64
ROWS, COLUMNS = 1024, 832
INSTALLATION = UUID("00000000-0000-4000-8000-000000000000")
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
# Where the forearm with seed 1 is broken, in the film's pixels.
BREAK: Box = (300.0, 612.0, 424.0, 732.0)
_FILM: dict[str, Any] = {
    "rows": ROWS,
    "columns": COLUMNS,
    "model": ModelIdentity("example", "0.0.0", "0" * 64, "none"),
    "thresholds": Thresholds(fracture=0.5, doubt=0.2),
}


def _read(probability: float, outcome: Outcome, part: str) -> ImageFindings:
    regions = (Region(BREAK, probability, outcome),) if outcome is not Outcome.NO_FRACTURE else ()
    return ImageFindings(
        outcome,
        fracture_probability=probability,
        body_part=BodyPart(part, 0.98),
        regions=regions,
        **_FILM,
    )


FINDINGS: dict[str, ImageFindings] = {
    "fracture": _read(0.87, Outcome.FRACTURE, "hand"),
    "doubt": _read(0.34, Outcome.DOUBT, "hand"),
    "below-threshold": _read(0.04, Outcome.NO_FRACTURE, "leg"),
    "not-processed": ImageFindings(Outcome.NOT_PROCESSED, reason=NotProcessed.TRUNCATED, **_FILM),
}


def draw(name: str) -> RgbImage:
    """The picture of one of FINDINGS: uint8 (rows, columns, 3), RGB."""
    findings = FINDINGS[name]
    if findings.outcome is Outcome.NOT_PROCESSED:
        return draw_card(findings, longest_side=LONGEST_SIDE)
    limb: Limb = "lower leg" if name == "below-threshold" else "forearm"
    film = read_radiograph(_phantom(limb, bool(findings.regions), 1))
    return draw_overlay(film, findings, longest_side=LONGEST_SIDE)


def reduced(picture: RgbImage) -> Image.Image:
    """The picture with an even scale of greys and its most frequent colours."""
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    vivid = np.ptp(colours.astype(int), axis=1) > 40
    frequent = colours[vivid][np.argsort(-counts[vivid], kind="stable")][:COLOURS]
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, frequent]).flatten().tolist())
    return Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)


def report() -> ResultObject:
    """The report on a study of two films: one with a fracture, one that could not be read."""
    films = [_phantom("forearm", True, 1), _phantom("forearm", True, 2)]
    images = tuple(
        StudyImage(
            instance_id=str(number),
            sop_instance_uid=str(film.SOPInstanceUID),
            sop_class_uid=str(film.SOPClassUID),
            pixel_digest=str(number),
            header_digest=header_digest(film),
            findings=FINDINGS[name],
        )
        for number, (film, name) in enumerate(zip(films, ("fracture", "not-processed"), strict=True))
    )
    study = StudyFindings(str(films[0].StudyInstanceUID), revision=1, closed_at=AT, images=images)
    context = CompositionContext(INSTALLATION, __version__, AT)
    sources = {str(film.SOPInstanceUID): film for film in films}
    return compose_report(study, sources, DestinationProfile("archive"), context)


def _phantom(limb: Limb, broken: bool, number: int) -> FileDataset:
    return phantom_instance(
        modality="DX",
        broken=broken,
        seed=1,
        uid_of=lambda key: derive_uid(INSTALLATION, key),
        study="examples",
        acquired_at=AT,
        instance_number=number,
        limb=limb,
        rows=ROWS,
        columns=COLUMNS,
    )


def main() -> None:
    """Writes every picture, or the report to the file that is named."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_bytes(report().data)
        return
    FOLDER.mkdir(exist_ok=True)
    for name in FINDINGS:
        reduced(draw(name)).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
