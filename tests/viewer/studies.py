"""Three studies as an archive holds them after the node's work: in each a film and its results.

The first has every kind of result that stands beside a film. The films have clinical size and a white rim, so that their edges can be found in a picture of a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydicom import FileDataset

from dicom_node.records import ResultObject, StudyFindings
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.key_objects import compose_key_objects
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.segmentation import compose_segmentation
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Box
from pipeline.pixel_conversion import read_radiograph
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
    return {
        "upright": _study("upright", POSITIVE, UPRIGHT, modality="DX", rows=LONG, columns=SHORT),
        "lying": _study(
            "lying", POSITIVE, LYING, modality="CR", rows=SHORT, columns=LONG, monochrome1=True
        ),
        "negative": _study(
            "negative", NEGATIVE, (), modality="DX", rows=LONG, columns=SHORT, broken=False
        ),
    }


def _study(name: str, reading: ImageFindings, regions: tuple[Region, ...], **film: Any) -> Study:
    ds = phantom(study=f"viewer {name}", **film)
    _draw_rim(ds)
    findings = replace(reading, rows=ds.Rows, columns=ds.Columns, regions=regions)
    results = {
        "sr": report([(ds, findings)], profile=PROFILE),
        "sc": overlay(ds, findings, profile=PROFILE, radiograph=read_radiograph(ds)),
    }
    if name == "upright":
        results |= _marks(ds, findings)
    return Study(ds, findings, {kind: result.data for kind, result in results.items()})


def _marks(ds: FileDataset, findings: ImageFindings) -> dict[str, ResultObject]:
    """The results that a destination gets only if it asks for them."""
    image, film = study_image(ds, findings), read_radiograph(ds)
    study = StudyFindings(str(ds.StudyInstanceUID), 1, CONTEXT.composed_at, (image,))
    place = {"revision": 1, "instance_number": 1}
    made = {
        "gsps": compose_presentation_state(image, ds, film, PROFILE, CONTEXT, **place),
        "seg": compose_segmentation(image, ds, film, PROFILE, CONTEXT, **place),
        "kos": compose_key_objects(study, {str(ds.SOPInstanceUID): ds}, PROFILE, CONTEXT),
    }
    return {kind: result for kind, result in made.items() if result is not None}


def _draw_rim(ds: FileDataset) -> None:
    values = stored_values(ds).copy()
    white = 0 if ds.PhotometricInterpretation == "MONOCHROME1" else 4095
    inner = values[RIM:-RIM, RIM:-RIM].copy()
    values[:] = white
    values[RIM:-RIM, RIM:-RIM] = inner
    put_values(ds, values, int(ds.BitsStored))
