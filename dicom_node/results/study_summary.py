"""The summary of a study as Secondary Capture (PS3.3 A.8.1): every image of it on a page, with what was said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.identifiers import Shape
from dicom_node.records import ResultKind, ResultObject, StudyFindings
from dicom_node.results.capture_attributes import describe_capture
from dicom_node.results.capture_pixels import put_pixels
from dicom_node.results.capture_style import style_of
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.film_drawing import RgbImage
from dicom_node.results.messages import Message
from dicom_node.results.reduced_film import Film
from dicom_node.results.result_identity import image_shape, result_identity
from dicom_node.results.result_instance import encode_instance, start_instance
from dicom_node.results.source_context import encoding_shape, newest_header
from dicom_node.results.study_images import (
    ReportedImage,
    image_words,
    place_words,
    reported_images,
)
from dicom_node.results.study_summary_drawing import draw_page
from dicom_node.results.study_summary_layout import SummaryTile, SummaryWords, lay_out_pages
from dicom_node.results.wording import (
    Wording,
    body_part_words,
    caution_words,
    graded_words,
    model_words,
    notice_words,
    threshold_words,
)
from pipeline.findings import ImageFindings, Outcome

Films = Mapping[str, Film]

# Instance numbers of a revision's pages: 1, 2 ..., of the next 101, 102 ...
_PAGES_OF_A_REVISION = 100
# Width over height of a card, where nothing says the film's.
_CARD_SHAPE = 0.8


def compose_summary(
    study: StudyFindings,
    sources: Mapping[str, Dataset],
    radiographs: Films,
    profile: DestinationProfile,
    context: CompositionContext,
) -> tuple[ResultObject, ...]:
    """The pages of a study's summary, about twelve images on each; the same arguments give the same bytes.

    `sources`: a header by SOP Instance UID for every image of `study`, as received or normalised. `radiographs`: the
    films by the same, whole or reduced; an image without one gets a card. An image that is not to be shown is left out of `study`.

    Raises:
        CompositionError: no images, or a source is missing or cannot be referenced.
    """
    images = reported_images(study, sources)
    header = newest_header(one.header for one in images)
    every, content = [one.image.findings for one in images], _content(study, images, radiographs)
    made = []
    for page, (shown, pixels) in enumerate(_pages(images, radiographs, profile), start=1):
        identity = result_identity(
            ResultKind.SUMMARY, SecondaryCaptureImageStorage, header, every, content, profile, context,
            instance_number=(study.revision - 1) * _PAGES_OF_A_REVISION + page, page=page,
        )  # fmt: skip
        readings = [one.image.findings for one in shown]
        ds = start_instance(identity, ResultKind.SUMMARY, header, readings, profile, context)
        _describe(ds, shown, profile.wording)
        put_pixels(ds, pixels, profile)
        made.append(encode_instance(ds, header, ResultKind.SUMMARY, profile))
    return tuple(made)


def _content(
    study: StudyFindings, images: Sequence[ReportedImage], radiographs: Films
) -> dict[str, Shape]:
    """What shapes the bytes of all pages beside study, models and destination."""
    return {
        "images": [
            [
                image_shape(one.image, one.header),
                encoding_shape(one.header),
                one.image.sop_instance_uid in radiographs,
            ]
            for one in images
        ],
        "revision": study.revision,
    }


def _pages(
    images: list[ReportedImage], radiographs: Films, profile: DestinationProfile
) -> list[tuple[list[ReportedImage], RgbImage]]:
    """Each page's images and its picture."""
    style = style_of(profile)
    wording = style.wording
    tiles = [_tile(one, radiographs.get(one.image.sop_instance_uid), wording) for one in images]
    words = _words([one.image.findings for one in images], wording)
    side = profile.overlay_longest_side
    layout, split = lay_out_pages(tiles, words, longest_side=side, style=style)
    pages, start = [], 0
    for number, held in enumerate(split, start=1):
        page = wording.text(Message.PAGE, number=number, pages=len(split)) if len(split) > 1 else ""
        picture = draw_page(held, layout, words, page=page, no_film=wording.text(Message.NO_FILM))
        pages.append((images[start : start + len(held)], picture))
        start += len(held)
    return pages


def _tile(one: ReportedImage, radiograph: Film | None, wording: Wording) -> SummaryTile:
    findings = one.image.findings
    place = place_words(one.header, wording)
    reason = f"{wording.text(findings.reason.meaning)}." if findings.reason else ""
    part = body_part_words(findings, wording)
    remarks = (reason, f"{part}." if part else "", caution_words(findings, wording))
    return SummaryTile(
        outcome=findings.outcome,
        number=str(one.number),
        place=place[:1].upper() + place[1:],
        result=graded_words(findings.outcome, findings.fracture_probability, wording),
        remarks=" ".join(part for part in remarks if part),
        radiograph=radiograph,
        regions=findings.visible_regions,
        shape=_shape(findings, radiograph),
    )


def _shape(findings: ImageFindings, radiograph: Film | None) -> float:
    """Width over height as it is seen."""
    if radiograph is not None:
        return radiograph.columns / (radiograph.rows * radiograph.pixel_aspect)
    known = findings.rows > 0 and findings.columns > 0
    return findings.columns / findings.rows if known else _CARD_SHAPE


def _words(readings: Sequence[ImageFindings], wording: Wording) -> SummaryWords:
    counts = [
        wording.text(
            Message.COUNT,
            outcome=graded_words(outcome, None, wording),
            number=sum(one.outcome is outcome for one in readings),
        )
        for outcome in Outcome
    ]
    readers = {
        f"{model_words(one.model, wording)}. {threshold_words(one, wording)}" for one in readings
    }
    return SummaryWords(
        title=wording.text(Message.SUMMARY_TITLE),
        counts=". ".join(counts) + ".",
        key=(wording.text(Message.FRACTURE), wording.text(Message.DOUBT)),
        notice=wording.text(Message.NOTICE),
        readers=tuple(sorted(readers)),
    )


def _describe(ds: FileDataset, shown: Sequence[ReportedImage], wording: Wording) -> None:
    """What is on the page in words, for people and for archives."""
    said = [image_words(one, wording) for one in shown]
    models = sorted({model_words(one.image.findings.model, wording) for one in shown})
    notice = notice_words(wording)
    derivation = f"{wording.text(Message.SUMMARY_DRAWN, model='; '.join(models))} {notice}"
    describe_capture(
        ds,
        [one.header for one in shown],
        comments=" ".join([notice, *said]),
        derivation=derivation,
    )
