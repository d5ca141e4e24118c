"""Every object of one film, in every case that sites and sources make: what the validators are shown.

    python -m tests.results.every_object --json benchmarks/results/validation.json

runs dciodvfy (and dcmpschk on presentation states) on the full product of `AXES`; hours of nothing else to do help.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_node.records import ResultObject, SopReference, StudyFindings
from dicom_node.results.composition import REPORT_SOP_CLASSES, DestinationProfile
from dicom_node.results.explanation_capture import compose_explanation
from dicom_node.results.key_objects import compose_key_objects
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.rejection_note import compose_rejection
from dicom_node.results.secondary_capture import compose_overlay
from dicom_node.results.segmentation import compose_segmentation
from dicom_node.results.structured_report import compose_report
from dicom_node.results.study_summary import compose_summary
from pipeline.activation_map import Explanation
from pipeline.explanation import choose_arrow
from pipeline.findings import ImageFindings
from tests.phantoms import COLUMNS, HEADER_CASES, ROWS, encode, header_case
from tests.results.hand_made import CONTEXT, READINGS, radiograph_of, study_image
from tests.validators import dciodvfy_errors, dcmpschk_errors

SHAPES = {"portrait": (ROWS, COLUMNS), "landscape": (COLUMNS, ROWS)}
DESTINATIONS = {
    "usual": DestinationProfile("usual", 512),
    "German, grey, JPEG-LS": DestinationProfile(
        "german", 512, REPORT_SOP_CLASSES[1], overlay_bits=8, language="de",
        transfer_syntax_uid=JPEGLSLossless,
    ),
    "French, Unicode, JPEG 2000": DestinationProfile(
        "french", 512, REPORT_SOP_CLASSES[2], language="fr",
        character_set="ISO_IR 192", transfer_syntax_uid=JPEG2000Lossless,
    ),
    "Spanish, RLE, elsewhere": DestinationProfile(
        "spanish", 512, language="es", timezone="-0300", rejection_title="113037",
        transfer_syntax_uid=RLELossless,
    ),
}  # fmt: skip
AXES: Mapping[str, tuple[str, ...]] = {
    "header": tuple(HEADER_CASES),
    "reading": tuple(READINGS),
    "destination": tuple(DESTINATIONS),
    "shape": tuple(SHAPES),
    "polarity": ("MONOCHROME1", "MONOCHROME2"),
    "modality": ("CR", "DX"),
}


@dataclass(frozen=True)
class Case:
    """One value of each of `AXES`, in their order."""

    header: str
    reading: str
    destination: str
    shape: str
    polarity: str
    modality: str

    def __str__(self) -> str:
        return ", ".join(
            (self.header, self.reading, self.destination, self.shape, self.polarity, self.modality)
        )


def source_of(case: Case) -> Dataset:
    """The film of a case."""
    rows, columns = SHAPES[case.shape]
    return header_case(
        case.header,
        modality=case.modality,
        monochrome1=case.polarity == "MONOCHROME1",
        rows=rows,
        columns=columns,
    )


def reading_of(case: Case) -> ImageFindings:
    """Its reading; half of the regions have an outline."""
    findings = READINGS[case.reading]
    rows, columns = SHAPES[case.shape]
    if case.shape == "landscape":
        turned = []
        for region in findings.regions:
            x0, y0, x1, y1 = region.box
            turned.append(replace(region, box=(y0, x0, y1, x1)))
        findings = replace(findings, regions=tuple(turned))
    outlined = [
        replace(region, contour=_diamond(region.box)) if index % 2 == 0 else region
        for index, region in enumerate(findings.regions)
    ]
    if findings.rows:
        findings = replace(findings, rows=rows, columns=columns)
    return replace(findings, regions=tuple(outlined))


def _diamond(box: tuple[float, float, float, float]) -> tuple[tuple[float, float], ...]:
    x0, y0, x1, y1 = box
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return ((x, y0), (x1, y), (x, y1), (x0, y))


def objects_of(case: Case) -> dict[str, ResultObject]:
    """Every object that this film can have."""
    source, findings = source_of(case), reading_of(case)
    profile = DESTINATIONS[case.destination]
    image = study_image(source, findings)
    film = radiograph_of(source) if findings.reason is None else None
    study = StudyFindings(
        str(source.StudyInstanceUID), 2, CONTEXT.composed_at, (image,), (_reference(source),)
    )
    headers = {image.sop_instance_uid: source}
    films = {} if film is None else {image.sop_instance_uid: film}
    place = {"revision": 1, "instance_number": 1}
    made: dict[str, ResultObject | None] = {
        "sr": compose_report(study, headers, profile, CONTEXT),
        "sc": compose_overlay(image, source, film, profile, CONTEXT, **place),
        "kos": compose_key_objects(study, headers, profile, CONTEXT),
        "rejection": compose_rejection(
            [_reference(source)], source, [findings], profile, CONTEXT, revision=2
        ),
    }
    pages = compose_summary(study, headers, films, profile, CONTEXT)
    made |= {f"summary {number}": page for number, page in enumerate(pages, start=1)}
    if film is not None:
        hot = np.zeros(film.pixels.shape, np.float32)
        hot[40:60, 30:50] = np.hanning(20)[:, None] * np.hanning(20)[None] + 1e-3
        explanation = Explanation(hot / hot.max(), choose_arrow(hot / hot.max()))
        made |= {
            "gsps": compose_presentation_state(image, source, film, profile, CONTEXT, **place),
            "gradcam": compose_explanation(image, source, film, explanation, profile, CONTEXT, **place),
        }
        if findings.visible_regions:
            made["seg"] = compose_segmentation(image, source, film, profile, CONTEXT, **place)
    return {kind: one for kind, one in made.items() if one is not None}


def _reference(source: Dataset) -> SopReference:
    """A report of ours that stands in the source's study."""
    return SopReference(
        str(source.StudyInstanceUID), "1.2.3.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4.5"
    )


def complaints(case: Case, folder: Path) -> dict[str, list[str]]:
    """What dciodvfy, and dcmpschk of presentation states, find in each object that they do not find in its source."""
    source = folder / "source.dcm"
    source.write_bytes(encode(source_of(case), ExplicitVRLittleEndian))
    inherited = dciodvfy_errors(source)
    found = {}
    for kind, result in objects_of(case).items():
        path = folder / f"{kind.replace(' ', '-')}.dcm"
        path.write_bytes(result.data)
        said = sorted(dciodvfy_errors(path) - inherited)
        if kind == "gsps":
            said += dcmpschk_errors(path, source)
        if said:
            found[kind] = said
    return found


def product(axes: Mapping[str, Iterable[str]] = AXES) -> list[Case]:
    """Every case there is."""
    return [Case(*values) for values in itertools.product(*axes.values())]


def _examined(case: Case) -> tuple[Case, dict[str, list[str]], int]:
    with tempfile.TemporaryDirectory() as folder:
        found = complaints(case, Path(folder))
        return case, found, len(list(Path(folder).glob("*.dcm"))) - 1


def main() -> int:
    """Examines the full product; 1 if any object has an error of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where the result goes")
    parser.add_argument("--every", type=int, default=1, help="only every n-th case")
    asked = parser.parse_args()
    cases = product()[:: asked.every]
    faulty: dict[str, dict[str, list[str]]] = {}
    objects = 0
    with ProcessPoolExecutor() as pool:
        examined = pool.map(partial(_examined), cases, chunksize=8)
        for number, (case, found, count) in enumerate(examined, start=1):
            objects += count
            if found:
                faulty[str(case)] = found
            if number % 100 == 0 or number == len(cases):
                print(f"{number} of {len(cases)} cases, {objects} objects, {len(faulty)} faulty", flush=True)  # fmt: skip
    record = {
        "axes": {name: len(values) for name, values in AXES.items()},
        "cases": len(cases),
        "objects": objects,
        "faulty": faulty,
    }
    asked.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
