"""Makes what `docs/results.md` shows: `python docs/make_examples.py` draws its pictures.

`python docs/make_examples.py report.dcm` writes its report; so do `marks.dcm`, `regions.dcm` and `key-images.dcm` with the
objects of these names, and `film.dcm` with the film that they belong to.

The films are drawn limbs and the findings are made up here: no model reads anything. Drawing and composing
are the product's own. The same checkout gives the same files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset

from dicom_node import __version__
from dicom_node.identifiers import derive_uid
from dicom_node.operating.phantom_drawing import Limb
from dicom_node.operating.phantoms import phantom_instance
from dicom_node.records import ResultObject, StudyFindings, StudyImage
from dicom_node.results.capture_style import CaptureStyle
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.explanation_capture_drawing import draw_explanation_capture
from dicom_node.results.film_drawing import COLOURS as MARKED
from dicom_node.results.film_drawing import RgbImage, grey_film
from dicom_node.results.key_objects import compose_key_objects
from dicom_node.results.overlay_drawing import draw_card, draw_overlay
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.segmentation import compose_segmentation
from dicom_node.results.source_context import header_digest
from dicom_node.results.structured_report import compose_report
from dicom_node.results.study_summary import compose_summary
from dicom_node.results.wording import wording_of
from dicom_node.settings import LanguageName
from pipeline.activation_map import Arrow, Explanation
from pipeline.findings import (
    BodyPart,
    ImageFindings,
    ModelIdentity,
    NotProcessed,
    Outcome,
    Region,
    Thresholds,
)
from pipeline.geometry import Box, Point
from pipeline.pixel_conversion import read_radiograph

FOLDER = Path(__file__).resolve().parent / "images"
LONGEST_SIDE = 640
# Grey films with two colours: more would only make the files larger.
GREYS, COLOURS = 64, 64
ROWS, COLUMNS = 1024, 832
INSTALLATION = UUID("00000000-0000-4000-8000-000000000000")
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTEXT = CompositionContext(INSTALLATION, __version__, AT)
# Where the forearm with seed 1 is broken, in the film's pixels.
BREAK: Box = (300.0, 612.0, 424.0, 732.0)
# A made-up outline of heat within it.
OUTLINE: tuple[Point, ...] = (
    (318.0, 640.0), (340.0, 622.0), (368.0, 616.0), (394.0, 628.0), (416.0, 652.0), (418.0, 684.0),
    (402.0, 712.0), (372.0, 724.0), (338.0, 718.0), (314.0, 698.0), (306.0, 668.0),
)  # fmt: skip
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
    "german": _read(0.87, Outcome.FRACTURE, "hand"),
}
# What the page shows: a file of each.
PICTURES = (*FINDINGS, "summary", "gradcam", "regions")
# Of FINDINGS, those in the summary.
SUMMARIZED = ("fracture", "doubt", "below-threshold", "not-processed")
# Of FINDINGS, those drawn in another language.
LANGUAGES: dict[str, LanguageName] = {"german": "de"}


def style(name: str) -> CaptureStyle:
    """The language in which one of FINDINGS is drawn."""
    return CaptureStyle(wording_of(LANGUAGES.get(name, "en")))


def draw(name: str) -> RgbImage:
    """The picture of one of FINDINGS: uint8 (rows, columns, 3), RGB."""
    findings = FINDINGS[name]
    if findings.outcome is Outcome.NOT_PROCESSED:
        return draw_card(findings, longest_side=LONGEST_SIDE, style=style(name))
    limb: Limb = "lower leg" if name == "below-threshold" else "forearm"
    film = read_radiograph(_phantom(limb, bool(findings.regions), 1))
    return draw_overlay(film, findings, longest_side=LONGEST_SIDE, style=style(name))


def summary() -> RgbImage:
    """The summary of a study with one film of each outcome; the last film has no pixels."""
    films = [
        _phantom(
            "lower leg" if name == "below-threshold" else "forearm", name != "below-threshold", number
        )
        for number, name in enumerate(SUMMARIZED, start=1)
    ]
    study, sources = _study(films, SUMMARIZED)
    shown = {str(film.SOPInstanceUID): read_radiograph(film) for film in films[:-1]}
    profile = DestinationProfile("archive", overlay_longest_side=LONGEST_SIDE)
    (page,) = compose_summary(study, sources, shown, profile, CONTEXT)
    return np.asarray(dcmread(BytesIO(page.data)).pixel_array)


def gradcam() -> RgbImage:
    """A Grad-CAM whose heat is made up: around the fracture, and some at the elbow."""
    down, across = np.mgrid[:ROWS, :COLUMNS]
    hot = np.zeros((ROWS, COLUMNS), np.float32)
    for x, y, reach, strength in ((362, 672, 60, 1.0), (420, 170, 45, 0.45)):
        distance = np.hypot(across + 0.5 - x, down + 0.5 - y)
        hot += (strength * np.exp(-((distance / reach) ** 2) / 2)).astype(np.float32)
    explanation = Explanation(hot / hot.max(), Arrow((520.0, 830.0), (362.0, 672.0)))
    film = read_radiograph(_phantom("forearm", True, 1))
    return draw_explanation_capture(film, FINDINGS["fracture"], explanation, longest_side=LONGEST_SIDE)


def regions() -> RgbImage:
    """The pixels of the segmentation over the part of its film around them."""
    left, top, right, bottom = 182, 532, 542, 812
    film = read_radiograph(_film())
    picture = grey_film(film.pixels, COLUMNS, ROWS).astype(float)
    frames = dcmread(BytesIO(segmentation().data)).pixel_array.reshape(-1, ROWS, COLUMNS)
    marked = frames.any(axis=0)
    picture[marked] = 0.6 * picture[marked] + 0.4 * np.array(MARKED[Outcome.FRACTURE])
    return picture[top:bottom, left:right].round().astype(np.uint8)


def reduced(picture: RgbImage) -> Image.Image:
    """The picture with an even scale of greys and its most frequent colours."""
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    vivid = np.ptp(colours.astype(int), axis=1) > 40
    frequent = colours[vivid][np.argsort(-counts[vivid], kind="stable")][:COLOURS]
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, frequent]).flatten().tolist())
    return Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)


def picture(name: str) -> Image.Image:
    """One of PICTURES, in few colours."""
    if name == "gradcam":
        # Heat has more colours than boxes.
        heat = Image.fromarray(gradcam())
        return heat.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if name == "summary":
        return reduced(summary())
    return reduced(regions() if name == "regions" else draw(name))


def report() -> ResultObject:
    """The report on a study of two films: one with a fracture, one that could not be read."""
    films = [_phantom("forearm", True, 1), _phantom("forearm", True, 2)]
    study, sources = _study(films, ("fracture", "not-processed"))
    return compose_report(study, sources, DestinationProfile("archive"), CONTEXT)


def key_images() -> ResultObject:
    """The key images of a study of three films: the one with a fracture and the one in doubt."""
    limbs: tuple[Limb, ...] = ("forearm", "forearm", "lower leg")
    films = [_phantom(limb, limb == "forearm", number) for number, limb in enumerate(limbs, start=1)]
    study, sources = _study(films, ("fracture", "doubt", "below-threshold"))
    chosen = compose_key_objects(study, sources, DestinationProfile("archive"), CONTEXT)
    if chosen is None:
        raise ValueError("no image of the study matters")
    return chosen


def marks() -> ResultObject:
    """The presentation state of a film with a fracture."""
    film = _film()
    return compose_presentation_state(
        _image(film, FINDINGS["fracture"]),
        film,
        read_radiograph(film),
        DestinationProfile("archive"),
        CONTEXT,
        revision=1,
        instance_number=1,
    )


def segmentation() -> ResultObject:
    """The segmentation of the same film; the outline of its heat is made up here."""
    film = _film()
    outlined = Region(BREAK, 0.87, Outcome.FRACTURE, contour=OUTLINE)
    made = compose_segmentation(
        _image(film, replace(FINDINGS["fracture"], regions=(outlined,))),
        film,
        read_radiograph(film),
        DestinationProfile("archive"),
        CONTEXT,
        revision=1,
        instance_number=1,
    )
    if made is None:
        raise ValueError("the film has no region")
    return made


def _film() -> FileDataset:
    return _phantom("forearm", True, 1)


def _file_of_film() -> bytes:
    file = BytesIO()
    dcmwrite(file, _film(), enforce_file_format=True)
    return file.getvalue()


# What can be written, by the name of its file.
OBJECTS: dict[str, Callable[[], bytes]] = {
    "report": lambda: report().data,
    "key-images": lambda: key_images().data,
    "marks": lambda: marks().data,
    "regions": lambda: segmentation().data,
    "film": _file_of_film,
}


def _image(film: FileDataset, findings: ImageFindings, number: int = 1) -> StudyImage:
    return StudyImage(
        instance_id=str(number),
        sop_instance_uid=str(film.SOPInstanceUID),
        sop_class_uid=str(film.SOPClassUID),
        pixel_digest=str(number),
        header_digest=header_digest(film),
        findings=findings,
    )


def _study(
    films: Sequence[FileDataset], names: Sequence[str]
) -> tuple[StudyFindings, dict[str, FileDataset]]:
    """A closed study of films with their FINDINGS, and its headers."""
    images = tuple(
        _image(film, FINDINGS[name], number)
        for number, (film, name) in enumerate(zip(films, names, strict=True))
    )
    study = StudyFindings(str(films[0].StudyInstanceUID), revision=1, closed_at=AT, images=images)
    return study, {str(film.SOPInstanceUID): film for film in films}


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
    """Writes every picture, or the objects whose files are named."""
    for path in map(Path, sys.argv[1:]):
        if path.stem not in OBJECTS:
            sys.exit(f"{path}: no such example; there are {', '.join(OBJECTS)}")
        path.write_bytes(OBJECTS[path.stem]())
    if len(sys.argv) > 1:
        return
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        picture(name).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
