"""The images of a study as people number them, each with its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.errors import CompositionError
from dicom_node.records import StudyFindings, StudyImage
from dicom_node.results.messages import Message
from dicom_node.results.source_context import read_source_header
from dicom_node.results.wording import Wording, outcome_words


@dataclass(frozen=True)
class ReportedImage:
    """An image with its normalised header and its number within the study's results, from 1."""

    number: int
    image: StudyImage
    header: Dataset


def reported_images(study: StudyFindings, sources: Mapping[str, Dataset]) -> list[ReportedImage]:
    """The images as people number them: by series and image number, whatever order they came in.

    `sources`: a header by SOP Instance UID for every image, as received or normalised.

    Raises:
        CompositionError: no images, a source is missing or cannot be referenced.
    """
    if not study.images:
        raise CompositionError("a study's result needs at least one image")
    headers = {}
    for image in study.images:
        if image.sop_instance_uid not in sources:
            raise CompositionError(f"no header for image {image.sop_instance_uid}")
        headers[image.sop_instance_uid] = read_source_header(sources[image.sop_instance_uid])

    def place(uid: str) -> tuple[float, float, str]:
        header = headers[uid]
        return (_number(header.get("SeriesNumber")), _number(header.get("InstanceNumber")), uid)

    ordered = sorted(study.images, key=lambda image: place(image.sop_instance_uid))
    return [
        ReportedImage(number, image, headers[image.sop_instance_uid])
        for number, image in enumerate(ordered, start=1)
    ]


def place_words(header: Dataset, wording: Wording) -> str:
    """Where people find the image: "series 2, image 4", of these what the header gives."""
    numbers = (
        (Message.SERIES_NUMBER, header.get("SeriesNumber")),
        (Message.IMAGE_NUMBER, header.get("InstanceNumber")),
    )
    return ", ".join(wording.text(word, number=value) for word, value in numbers if value is not None)


def image_words(reported: ReportedImage, wording: Wording) -> str:
    """An image's result in a sentence: "Image 1 (series 2, image 4): Doubt 41 %."."""
    result = outcome_words(reported.image.findings, wording)
    place = place_words(reported.header, wording)
    if not place:
        return wording.text(Message.IMAGE, number=reported.number, result=result)
    return wording.text(Message.IMAGE_AT, number=reported.number, place=place, result=result)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("inf")
