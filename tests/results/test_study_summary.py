"""The summary of a study: its pages as pictures and as DICOM objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.records import ResultKind, ResultObject
from dicom_node.results.capture_style import OWN_STYLE
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.study_summary import compose_summary
from dicom_node.results.study_summary_drawing import draw_page
from dicom_node.results.study_summary_layout import (
    MOST_TILES,
    SummaryLayout,
    SummaryTile,
    SummaryWords,
    caption_height,
    film_size,
    lay_out_pages,
)
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, Outcome, Region
from pipeline.radiograph import Radiograph
from tests.phantoms import encode, header_case, phantom
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    FAILED,
    MODEL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PROFILE,
    radiograph_of,
    read_back,
    study_of,
)
from tests.validators import dciodvfy_errors

Pair = tuple[Dataset, ImageFindings]
WORDS = SummaryWords(
    "AI fracture summary",
    "Fracture suspected: 2. Doubt: 1. Below threshold: 7. Not processed: 2.",
    ("Fracture suspected", "Doubt"),
    RESEARCH_NOTICE,
    ("hand-made 1.2.3, package 5e5e5e5e5e5e. Thresholds: fracture 62.0 %, doubt 31.0 %.",),
)


def summary(
    pairs: Sequence[Pair],
    *,
    cards: Sequence[int] = (),
    revision: int = 1,
    profile: DestinationProfile = PROFILE,
) -> tuple[ResultObject, ...]:
    """The pages of a study; the images at `cards` have no film."""
    study, sources = study_of(pairs, revision)
    films = {
        str(source.SOPInstanceUID): radiograph_of(source)
        for index, (source, _) in enumerate(pairs)
        if index not in cards
    }
    return compose_summary(study, sources, films, profile, CONTEXT)


def images(count: int) -> list[Pair]:
    """Films of both polarities, shapes and modalities, with every reading in turn."""
    readings = (POSITIVE, NEGATIVE, DOUBTFUL, NOT_ATTEMPTED, FAILED)
    made: list[Pair] = []
    for number in range(count):
        rows, columns = ((256, 208), (208, 256))[number % 2]
        source = phantom(
            modality="DX" if number % 2 else "CR",
            monochrome1=number % 3 == 1,
            instance_number=number + 1,
            rows=rows,
            columns=columns,
        )
        findings = readings[number % len(readings)]
        if findings.rows:
            findings = replace(findings, rows=rows, columns=columns)
        made.append((source, findings))
    return made


def test_it_says_what_it_is_which_films_it_shows_and_what_it_is_not() -> None:
    """Derived, burned in, for research, with every image's result in words."""
    pairs = images(5)
    (page,) = summary(pairs, cards=[4])
    ds = read_back(page)
    assert (page.kind, ds.SOPClassUID) == (ResultKind.SUMMARY, SecondaryCaptureImageStorage)
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert (ds.Modality, ds.ConversionType, ds.SeriesNumber) == ("OT", "WSD", 9006)
    assert (ds.BurnedInAnnotation, ds.ContentQualification) == ("YES", "RESEARCH")
    assert "research" in ds.SeriesDescription
    for words in (RESEARCH_NOTICE, "Fracture suspected 87 %", "Doubt 41 %", "Below threshold 4 %"):
        assert words in ds.ImageComments
    assert MODEL.name in ds.DerivationDescription
    assert RESEARCH_NOTICE in ds.DerivationDescription
    shown = {str(item.ReferencedSOPInstanceUID) for item in ds.SourceImageSequence}
    assert shown == {str(source.SOPInstanceUID) for source, _ in pairs}
    assert not ds.PatientOrientation
    assert "normal" not in str(ds).lower()


@pytest.mark.parametrize(("count", "split"), [(1, [1]), (12, [12]), (13, [7, 6]), (25, [9, 9, 7])])
def test_pages_hold_twelve_images_at_most_and_about_as_many_each(count: int, split: list[int]) -> None:
    """Numbered by people's order; a page names the films that it shows."""
    profile = replace(PROFILE, overlay_longest_side=1024)
    pages = [read_back(page) for page in summary(images(count), profile=profile)]
    assert [len(page.SourceImageSequence) for page in pages] == split
    assert [page.InstanceNumber for page in pages] == list(range(1, len(split) + 1))
    assert len({page.SeriesInstanceUID for page in pages}) == 1
    assert len({page.SOPInstanceUID for page in pages}) == len(split)
    assert len({(page.Rows, page.Columns) for page in pages}) == 1


def test_a_revision_has_numbers_of_its_own_in_the_same_series() -> None:
    """Page 1 of revision 2 does not pass for page 2 of revision 1."""
    first, second = (read_back(summary(images(2), revision=number)[0]) for number in (1, 2))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 101)
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_the_same_job_gives_the_same_bytes_and_what_shapes_them_another_uid() -> None:
    """Order of arrival shapes nothing; film, card, reading, patient, size and language do."""
    pairs, renamed = images(3), images(3)
    for source, _ in renamed:
        source.PatientName = "SOMEBODY^ELSE"
    (first,), (again,) = summary(pairs), summary(pairs[::-1])
    assert first.data == again.data
    made = [
        first,
        *summary(pairs, cards=[0]),
        *summary(pairs[:2]),
        *summary([*pairs[:2], (pairs[2][0], NEGATIVE)]),
        *summary(renamed),
        *summary(pairs, profile=replace(PROFILE, overlay_longest_side=600)),
        *summary(pairs, profile=replace(PROFILE, language="de")),
        *summary(pairs, profile=replace(PROFILE, overlay_bits=8)),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)
    assert len({one.data for one in made}) == len(made)


def test_both_polarities_of_a_film_look_the_same() -> None:
    """MONOCHROME1 is inverted once."""
    pages = [
        read_back(summary([(phantom(monochrome1=inverse), POSITIVE)])[0]).pixel_array.astype(int)
        for inverse in (False, True)
    ]
    assert np.abs(pages[0] - pages[1]).max() <= 1


def test_a_film_that_lost_something_makes_a_summary_that_did() -> None:
    """The flags of the lossy one among several (PS3.3 C.7.6.1.1.5)."""
    pairs = images(2)
    pairs[1][0].LossyImageCompression = "01"
    pairs[1][0].LossyImageCompressionRatio = 8
    pairs[1][0].LossyImageCompressionMethod = "ISO_15444_1"
    ds = read_back(summary(pairs)[0])
    assert (ds.LossyImageCompression, float(ds.LossyImageCompressionRatio)) == ("01", 8)
    assert read_back(summary(images(2))[0]).LossyImageCompression == "00"


# --- the page as a picture ------------------------------------------------------------------------


def _tile(
    shape: float = 0.8, outcome: Outcome = Outcome.NO_FRACTURE, *regions: Region, card: bool = False
) -> SummaryTile:
    film = (
        None
        if card
        else Radiograph(np.full((500, round(500 * shape)), 0.6, np.float32), None, None, 1, "")
    )
    return SummaryTile(
        outcome, "1", "Series 1, image 1", "Below threshold 4 %", "Shoulder. This does not exclude a fracture.",
        film, regions, shape,
    )  # fmt: skip


@given(
    shapes=st.lists(st.floats(0.2, 5), min_size=1, max_size=30),
    longest_side=st.integers(320, 4096),
)
@settings(max_examples=12, deadline=None)
def test_tiles_lie_apart_within_a_page_that_exceeds_no_side(
    shapes: list[float], longest_side: int
) -> None:
    """For films of every shape and every cap: nothing overlaps, and every image is on a page once."""
    tiles = [_tile(shape, card=True) for shape in shapes]
    layout, split = lay_out_pages(tiles, WORDS, longest_side=longest_side)
    assert max(layout.width, layout.height) <= longest_side
    assert [tile for page in split for tile in page] == tiles
    assert max(len(page) for page in split) <= MOST_TILES
    corners = [layout.tile(index) for index in range(len(split[0]))]
    width, height = layout.film_width, layout.film_height + layout.caption_height
    assert len(set(corners)) == len(corners)
    for x, y in corners:
        assert x >= 0
        assert x + width <= layout.width
        assert y >= layout.top
        assert y + height <= layout.height - _footer_height(layout)
        for other_x, other_y in corners:
            apart = abs(x - other_x) >= width or abs(y - other_y) >= height
            assert apart or (x, y) == (other_x, other_y)


def _footer_height(layout: SummaryLayout) -> int:
    letters = layout.letters
    return (1 + len(layout.notice)) * letters.line("plain") + len(layout.readers) * letters.line(
        "small"
    )


@pytest.mark.parametrize("longest_side", [256, 320, 512, 1024, 2048, 4096])
def test_letters_are_never_smaller_than_ten_pixels(longest_side: int) -> None:
    """Whatever the destination's cap."""
    layout, _ = lay_out_pages([_tile()] * 4, WORDS, longest_side=longest_side)
    for rank in ("title", "plain", "small"):
        assert layout.letters.font(rank).size >= 10
    assert max(layout.width, layout.height) <= longest_side


@pytest.mark.parametrize(("rows", "columns"), [(512, 400), (400, 512), (4000, 3200)])
def test_boxes_lie_where_the_film_has_them(rows: int, columns: int) -> None:
    """A solid frame around a fracture, a broken one around a doubt, nothing within; small films and large."""
    box = (columns * 0.25, rows * 0.25, columns * 0.75, rows * 0.5)
    film = Radiograph(np.full((rows, columns), 0.6, np.float32), None, None, 1.0, "")
    shares = {}
    for outcome in (Outcome.FRACTURE, Outcome.DOUBT):
        tile = replace(_tile(columns / rows, outcome, Region(box, 0.8, outcome)), radiograph=film)
        layout, _ = lay_out_pages([tile], WORDS, longest_side=1024)
        page = draw_page([tile], layout, WORDS, page="", no_film="")
        width, height = film_size(tile, layout.film_width, layout.film_height)
        x, y = layout.tile(0)
        left, top = x + (layout.film_width - width) // 2, y + (layout.film_height - height) // 2
        x0, x1 = round(left + width * 0.25), round(left + width * 0.75)
        y0, y1 = round(top + height * 0.25), round(top + height * 0.5)
        assert np.all(page[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4] == 153)
        shares[outcome] = float((np.ptp(page[y0 - 1, x0:x1].astype(int), axis=-1) > 40).mean())
    assert shares[Outcome.FRACTURE] == 1.0
    assert 0.3 < shares[Outcome.DOUBT] < 0.75


def test_a_film_that_could_not_be_had_gets_a_card_that_says_so() -> None:
    """Words in the film's place; a film keeps its own grey."""
    tiles = [_tile(card=True), _tile()]
    layout, _ = lay_out_pages(tiles, WORDS, longest_side=1024)
    page = draw_page(tiles, layout, WORDS, page="", no_film="No film shown")
    halves = []
    for index in (0, 1):
        x, y = layout.tile(index)
        halves.append(page[y : y + layout.film_height, x : x + layout.film_width])
    assert np.all(halves[1][layout.film_height // 2, layout.film_width // 2] == 153)
    assert halves[0].max() > 120
    assert (halves[0] > 0).mean() < 0.1


def test_a_page_grows_no_higher_than_its_films_and_words_need() -> None:
    """Landscape films leave no empty room below them."""
    tiles = [_tile(2.0), _tile(2.0)]
    layout, _ = lay_out_pages(tiles, WORDS, longest_side=1024)
    assert film_size(tiles[0], layout.film_width, layout.film_height)[1] == layout.film_height
    assert layout.caption_height == caption_height(tiles[0], layout.letters, layout.film_width)


def test_in_grey_a_fracture_and_a_doubt_are_told_apart() -> None:
    """By solid and broken lines, and by their words."""
    region = Region((50.0, 50.0, 300.0, 300.0), 0.8, Outcome.FRACTURE)
    pages = []
    for outcome in (Outcome.FRACTURE, Outcome.DOUBT):
        tile = _tile(0.8, outcome, replace(region, outcome=outcome))
        layout, _ = lay_out_pages([tile], WORDS, longest_side=512, style=replace(OWN_STYLE, grey=True))
        page = draw_page([tile], layout, WORDS, page="", no_film="")
        assert np.ptp(page[layout.top :].astype(int), axis=-1).max() < 20
        pages.append(page)
    assert not np.array_equal(pages[0], pages[1])


@pytest.mark.real_part
@pytest.mark.parametrize(
    "profile",
    [
        PROFILE,
        replace(PROFILE, overlay_bits=8, language="de"),
        replace(PROFILE, overlay_longest_side=256, timezone="-0300"),
    ],
    ids=["usual", "German, grey", "small"],
)
def test_dciodvfy_finds_no_error_that_the_sources_do_not_have(
    profile: DestinationProfile, tmp_path: Path
) -> None:
    """Odd headers beside each other; a card among them."""
    cases = ("IR 87 name", "compound orientation", "PixelSpacing", "date of zeros", "no PatientID")
    readings = (POSITIVE, DOUBTFUL, NEGATIVE, NOT_ATTEMPTED, FAILED)
    pairs = [
        (header_case(case, instance_number=number), reading)
        for number, (case, reading) in enumerate(zip(cases, readings, strict=True), start=1)
    ]
    inherited = set()
    for number, (source, _) in enumerate(pairs):
        (tmp_path / f"source-{number}").write_bytes(encode(source, ExplicitVRLittleEndian))
        inherited |= dciodvfy_errors(tmp_path / f"source-{number}")
    for number, page in enumerate(summary(pairs, cards=[4], profile=profile)):
        (tmp_path / f"page-{number}").write_bytes(page.data)
        assert dciodvfy_errors(tmp_path / f"page-{number}") <= inherited
