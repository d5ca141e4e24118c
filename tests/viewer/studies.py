"""Three studies as an archive holds them after the node's work: in each a film and its results.

The first has every kind of result that stands beside a film. The films have clinical size and a white rim, so that their edges can be found in a picture of a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydicom import FileDataset

from dicom_node.records import ResultObject, StudyFindings
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.explanation_capture import compose_explanation
from dicom_node.results.key_objects import compose_key_objects
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.segmentation import compose_segmentation
from dicom_node.results.study_summary import compose_summary
from pipeline.activation_map import Explanation
from pipeline.explanation import choose_arrow
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Box
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from tests.phantoms import encode, phantom, put_values, stored_values
from tests.results.hand_made import CONTEXT, NEGATIVE, POSITIVE, overlay, report, study_image

LONG, SHORT, RIM = 1200, 1000, 16
PROFILE = DestinationProfile("viewer", overlay_longest_side=1400)
# Film pixels; not symmetric in any way: a box that is mirrored, turned or transposed lies elsewhere.
UPRIGHT: tuple[Region, ...] = (
    # Where the phantom is broken.
    Region((435.0, 505.0, 550.0, 630.0), 0.81, Outcome.FRACTURE),
    Region((540.0, 930.0, 640.0, 1060.0), 0.41, Outcome.DOUBT),
    Region((700.0, 500.0, 760.0, 560.0), 0.07, Outcome.NO_FRACTURE),
)
LYING: tuple[Region, ...] = (
    Region((430.0, 250.0, 640.0, 400.0), 0.81, Outcome.FRACTURE),
    Region((210.0, 600.0, 330.0, 780.0), 0.41, Outcome.DOUBT),
)


@dataclass(frozen=True)
class Study:
    """A film, what was read in it, and its results by kind, as the bytes of files."""

    film: FileDataset
    findings: ImageFindings
    results: Mapping[str, bytes]

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return str(self.film.StudyInstanceUID)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The regions of the report, in pixels of the film."""
        return tuple(region.box for region in self.findings.visible_regions)

    def files(self) -> dict[str, bytes]:
        """What the archive holds."""
        film = encode(self.film, self.film.file_meta.TransferSyntaxUID)
        return {"film": film, **self.results}


def studies() -> dict[str, Study]:
    """Upright and lying, both polarities, with a fracture and without."""
    upright: dict[str, Any] = {"rows": LONG, "columns": SHORT, "modality": "DX"}
    lying: dict[str, Any] = {"rows": SHORT, "columns": LONG, "modality": "CR", "monochrome1": True}
    return {
        "upright": study_of("upright", POSITIVE, UPRIGHT, marks=True, **upright),
        "lying": study_of("lying", POSITIVE, LYING, **lying),
        "negative": study_of("negative", NEGATIVE, (), broken=False, **upright),
    }


def study_of(
    name: str,
    reading: ImageFindings,
    regions: tuple[Region, ...],
    *,
    marks: bool = False,
    profile: DestinationProfile = PROFILE,
    rim: int = RIM,
    **film: Any,
) -> Study:
    """A film with these regions in it, its report and its overlay; `marks`: with all else that stands beside a film."""
    ds = phantom(study=f"viewer {name}", **film)
    if rim:
        _draw_rim(ds, rim)
    findings = replace(reading, rows=ds.Rows, columns=ds.Columns, regions=regions)
    # Nothing of a film that was not read is drawn.
    read = None if findings.reason else read_radiograph(ds)
    results = {
        "sr": report([(ds, findings)], profile=profile),
        "sc": overlay(ds, findings, profile=profile, radiograph=read, card=read is None),
    }
    if marks:
        results |= _marks(ds, findings, read, profile)
    return Study(ds, findings, {kind: result.data for kind, result in results.items()})


def _marks(
    ds: FileDataset, findings: ImageFindings, read: Radiograph | None, profile: DestinationProfile
) -> dict[str, ResultObject]:
    """The results that a destination gets only if it asks for them."""
    image, uid = study_image(ds, findings), str(ds.SOPInstanceUID)
    study = StudyFindings(str(ds.StudyInstanceUID), 1, CONTEXT.composed_at, (image,))
    films = {} if read is None else {uid: read}
    place = {"revision": 1, "instance_number": 1}
    (page,) = compose_summary(study, {uid: ds}, films, profile, CONTEXT)
    made = {"summary": page, "kos": compose_key_objects(study, {uid: ds}, profile, CONTEXT)}
    if read is not None:
        hot = _heat(read.pixels.shape, findings)
        made |= {
            "gsps": compose_presentation_state(image, ds, read, profile, CONTEXT, **place),
            "seg": compose_segmentation(image, ds, read, profile, CONTEXT, **place),
            "gradcam": compose_explanation(image, ds, read, hot, profile, CONTEXT, **place),
        }
    return {kind: result for kind, result in made.items() if result is not None}


def _heat(shape: tuple[int, ...], findings: ImageFindings) -> Explanation:
    """A map that is warm in each region, and hottest in the likeliest."""
    heat = np.zeros(shape, np.float32)
    for region in findings.visible_regions:
        x0, y0, x1, y1 = (round(edge) for edge in region.box)
        bump = np.hanning(y1 - y0 + 2)[1:-1, None] * np.hanning(x1 - x0 + 2)[None, 1:-1]
        heat[y0:y1, x0:x1] = bump * region.probability / findings.visible_regions[0].probability
    return Explanation(heat, choose_arrow(heat))


def _draw_rim(ds: FileDataset, rim: int) -> None:
    values = stored_values(ds).copy()
    white = 0 if ds.PhotometricInterpretation == "MONOCHROME1" else 4095
    inner = values[rim:-rim, rim:-rim].copy()
    values[:] = white
    values[rim:-rim, rim:-rim] = inner
    put_values(ds, values, int(ds.BitsStored))
