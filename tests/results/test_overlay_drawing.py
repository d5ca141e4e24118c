"""The overlay as a picture: where the film lies, what is drawn on it, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dicom_node.results.film_drawing import write_line
from dicom_node.results.overlay_drawing import draw_card, draw_overlay, overlay_layout
from dicom_node.results.overlay_layout import lay_out
from dicom_node.results.typeface import font_of, own_typeface
from dicom_node.results.wording import outcome_words, percent
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.radiograph import Radiograph
from tests.results.hand_made import FAILED, NEGATIVE, NOT_ATTEMPTED, POSITIVE, READINGS


def _film(rows: int, columns: int, *, value: float = 0.6, aspect: float = 1.0) -> Radiograph:
    return Radiograph(np.full((rows, columns), value, np.float32), None, None, aspect, "digest")


def _reading(film: Radiograph, *regions: Region) -> ImageFindings:
    return replace(POSITIVE, rows=film.rows, columns=film.columns, regions=regions)


def _is_coloured(pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.ptp(pixels.astype(int), axis=-1) > 40


@given(
    rows=st.integers(1, 4000),
    columns=st.integers(1, 4000),
    longest_side=st.integers(256, 4096),
    name=st.sampled_from(sorted(READINGS)),
)
@settings(max_examples=60, deadline=None)
def test_no_side_exceeds_the_longest_side_and_the_film_keeps_its_shape(
    rows: int, columns: int, longest_side: int, name: str
) -> None:
    """For every film up to 20:1 and every destination's cap."""
    if max(rows, columns) > 20 * min(rows, columns):
        return
    layout = lay_out(rows, columns, READINGS[name], longest_side=longest_side)
    assert max(layout.width, layout.height) <= longest_side
    left, top, right, bottom = layout.film
    assert 0 <= left < right <= layout.width
    assert 0 < top < bottom < layout.height
    assert layout.scale_x == pytest.approx((right - left) / columns)
    assert abs((right - left) * rows / columns - (bottom - top)) <= 1 + max(
        rows / columns, columns / rows
    )


@pytest.mark.parametrize(("rows", "columns"), [(300, 200), (200, 300)])
@pytest.mark.parametrize("longest_side", [512, 4000])
def test_the_film_is_untouched_but_for_boxes_and_their_labels(
    rows: int, columns: int, longest_side: int
) -> None:
    """Side markers and bone stay visible: words stand in strips beside the film."""
    film = _film(rows, columns)
    pixels = draw_overlay(film, _reading(film), longest_side=longest_side)
    left, top, right, bottom = overlay_layout(film, _reading(film), longest_side=longest_side).film
    assert pixels.dtype == np.uint8
    assert np.all(pixels[top:bottom, left:right] == 153)
    assert pixels[:top].max() > 200
    assert pixels[bottom:].max() > 100


def test_larger_values_are_brighter() -> None:
    """MONOCHROME2 polarity, whatever the source's was."""
    film = _film(64, 64)
    film.pixels[:, :32] = 0.0
    film.pixels[:, 32:] = 1.0
    reading = _reading(film)
    pixels = draw_overlay(film, reading, longest_side=512)
    left, top, right, bottom = overlay_layout(film, reading, longest_side=512).film
    row = pixels[(top + bottom) // 2, left:right, 0]
    assert row[5] < 5
    assert row[-5] > 250


def test_what_is_no_number_or_below_black_is_black() -> None:
    """Enlarging overshoots at edges, and a damaged film may hold anything."""
    film = _film(64, 64, value=0.0)
    film.pixels[:, :16], film.pixels[:, 48:] = np.nan, 1.0
    pixels = draw_overlay(film, _reading(film), longest_side=512)
    left, top, right, bottom = overlay_layout(film, _reading(film), longest_side=512).film
    shown, edge = pixels[top:bottom, left:right], round((right - left) * 0.75)
    assert shown[:, : edge - 8].max() == 0
    assert shown[:, edge - 8 :].max() == 255


def test_a_line_of_text_is_the_same_wherever_and_however_often_it_is_written() -> None:
    """Its letters are kept from one picture to the next: as Pillow draws them, also on another ground."""
    font = font_of(21, own_typeface())
    for text in ("Thresholds: fracture 62.0 %", "jÅ", ""):
        for ground in ((0, 0, 0), (15, 17, 20), (200, 100, 50)):
            drawn, written = (Image.new("RGB", (400, 60), ground) for _ in range(2))
            ImageDraw.Draw(drawn).text((7, 11), text, fill=(158, 164, 172), font=font)
            write_line(written, (7, 11), text, (158, 164, 172), font)
            assert np.array_equal(np.array(drawn), np.array(written))


def test_a_fracture_is_a_closed_line_and_a_doubt_a_broken_one() -> None:
    """Solid: the specific operating point; dashed: the sensitive one. Neither covers its region."""
    film = _film(400, 400)
    box = (100.0, 150.0, 300.0, 260.0)
    shares = {}
    for outcome in (Outcome.FRACTURE, Outcome.DOUBT):
        reading = _reading(film, Region(box, 0.7, outcome))
        pixels = draw_overlay(film, reading, longest_side=1024)
        x0, y0, x1, y1 = (
            round(edge) for edge in overlay_layout(film, reading, longest_side=1024).box(box)
        )
        shares[outcome] = float(_is_coloured(pixels[y1, x0:x1]).mean())
        inner = pixels[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4]
        assert np.all(inner == 153)
    assert shares[Outcome.FRACTURE] == 1.0
    assert 0.3 < shares[Outcome.DOUBT] < 0.75


def test_regions_below_the_thresholds_are_not_drawn() -> None:
    """A negative film shows no box at all."""
    film = _film(NEGATIVE.rows, NEGATIVE.columns)
    pixels = draw_overlay(film, NEGATIVE, longest_side=1024)
    left, top, right, bottom = overlay_layout(film, NEGATIVE, longest_side=1024).film
    assert not _is_coloured(pixels[top:bottom, left:right]).any()


@given(
    box=st.tuples(*[st.floats(0, 1)] * 4),
    outcome=st.sampled_from([Outcome.FRACTURE, Outcome.DOUBT]),
    side=st.sampled_from([256, 512]),
)
@settings(max_examples=40, deadline=None)
def test_any_region_within_the_film_can_be_drawn_and_its_centre_stays_free(
    box: tuple[float, float, float, float], outcome: Outcome, side: int
) -> None:
    """Also a point, a line at the edge, and a region as large as the film."""
    film = _film(300, 240)
    (x0, x1), (y0, y1) = sorted((box[0] * 240, box[2] * 240)), sorted((box[1] * 300, box[3] * 300))
    reading = _reading(film, Region((x0, y0, x1, y1), 0.8, outcome))
    pixels = draw_overlay(film, reading, longest_side=side)
    at = overlay_layout(film, reading, longest_side=side).box((x0, y0, x1, y1))
    if min(at[2] - at[0], at[3] - at[1]) > 60:
        centre = pixels[round((at[1] + at[3]) / 2), round((at[0] + at[2]) / 2)]
        assert centre.tolist() == [153, 153, 153]


def test_pixels_that_are_not_square_become_square() -> None:
    """A pixel twice as high as wide: the film is drawn twice as high."""
    film = _film(200, 300, aspect=2.0)
    left, top, right, bottom = overlay_layout(film, _reading(film), longest_side=1024).film
    assert (bottom - top) / (right - left) == pytest.approx(400 / 300, abs=0.01)


@pytest.mark.parametrize("reading", [NOT_ATTEMPTED, FAILED])
def test_a_card_stands_in_for_a_film_that_could_not_be_had(reading: ImageFindings) -> None:
    """Words in both strips, and no picture."""
    card = draw_card(reading, longest_side=2048)
    assert card.shape[2] == 3
    assert max(card.shape) <= 1024
    assert card[: card.shape[0] // 8].max() > 200


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.0, "under 1 %"),
        (0.0099, "under 1 %"),
        (0.01, "1 %"),
        (0.873, "87 %"),
        (0.99, "99 %"),
        (0.9999, "over 99 %"),
    ],
)
def test_rounding_never_says_certain_or_impossible(probability: float, words: str) -> None:
    """Neither 0 % nor 100 % is ever shown."""
    assert percent(probability) == words


def test_no_outcome_is_called_normal() -> None:
    """Not negative either: the result is below a threshold."""
    said = " ".join(outcome_words(reading) for reading in READINGS.values()).lower()
    assert "normal" not in said
    assert "negative" not in said
