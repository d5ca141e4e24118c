"""Every object as people see it, on contact sheets for somebody to look at.

    python -m tests.viewer.every_sight FOLDER

Films of both polarities, upright and lying, 512 to 4,000 pixels, of every outcome; drawn by DCMTK (captures), DICOMscope
(presentation states), dwv and OHIF (reports). A sheet for each; nothing is checked.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dicom_node.results.composition import DestinationProfile
from pipeline.findings import ImageFindings, Region
from tests.node.orthanc import HTTP_PORT, network_namespace, running_orthanc
from tests.real_parts import dicomweb_plugin, program
from tests.results.dicomscope import draw_presentation_states
from tests.results.hand_made import DOUBTFUL, NEGATIVE, NOT_ATTEMPTED, POSITIVE
from tests.viewer import ohif
from tests.viewer.browser import open_browser
from tests.viewer.dwv import Dwv
from tests.viewer.studies import LYING, UPRIGHT, Study, study_of
from tests.viewer.web_server import serving

# Reading, rows, columns, MONOCHROME1: every value of each with every value of every other, or nearly.
CASES: Mapping[str, tuple[ImageFindings, int, int, bool]] = {
    "positive, 512": (POSITIVE, 512, 400, True),
    "positive, 4000 lying": (POSITIVE, 3300, 4000, False),
    "positive, 4000": (POSITIVE, 4000, 3300, True),
    "doubt, 512 lying": (DOUBTFUL, 400, 512, False),
    "doubt, 1200": (DOUBTFUL, 1200, 1000, False),
    "negative, 1200 lying": (NEGATIVE, 1000, 1200, True),
    "negative, 4000": (NEGATIVE, 4000, 3300, False),
    "not processed, 512": (NOT_ATTEMPTED, 512, 400, False),
    "not processed, 1200 lying": (NOT_ATTEMPTED, 1000, 1200, True),
}
CAPTURES = ("sc", "summary", "gradcam")
PROFILE = DestinationProfile("every sight")
_TILE, _CAPTION, _ACROSS = 900, 24, 3

Picture = Image.Image


def every_study() -> dict[str, Study]:
    """The cases, with every object that each can have."""
    made = {}
    for name, (reading, rows, columns, monochrome1) in CASES.items():
        drawn = {"rows": rows, "columns": columns, "monochrome1": monochrome1}
        regions = _regions(reading, rows, columns)
        made[name] = study_of(
            name, reading, regions, marks=True, profile=PROFILE, rim=0, modality="DX",
            broken=bool(regions), **drawn,
        )  # fmt: skip
    return made


def _regions(reading: ImageFindings, rows: int, columns: int) -> tuple[Region, ...]:
    """The regions of the tests' films at the same share of this one."""
    given, tall, wide = (UPRIGHT, 1200, 1000) if rows > columns else (LYING, 1000, 1200)
    down, across = rows / tall, columns / wide
    moved = []
    for region, read in zip(given, reading.regions, strict=False):
        x0, y0, x1, y1 = region.box
        box = (x0 * across, y0 * down, x1 * across, y1 * down)
        moved.append(replace(region, box=box, probability=read.probability, outcome=read.outcome))
    return tuple(moved)


def captures(files: Mapping[str, Path]) -> Iterator[tuple[str, Picture]]:
    """By DCMTK."""
    for name, path in files.items():
        if path.stem.split("-")[-1] in CAPTURES:
            picture = path.with_suffix(".png")
            subprocess.run(
                [program("dcmj2pnm"), "+on", str(path), str(picture)], check=True, timeout=60
            )
            yield name, Image.open(picture)


def presentation_states(files: Mapping[str, Path], folder: Path) -> Iterator[tuple[str, Picture]]:
    """By DICOMscope."""
    states = {name: path for name, path in files.items() if name.endswith(": gsps")}
    pairs = [(path, files[name.replace(": gsps", ": film")]) for name, path in states.items()]
    drawn = draw_presentation_states(pairs, folder, side=_TILE)
    for name, grey in zip(states, drawn, strict=True):
        yield name, Image.fromarray(grey.astype(np.uint8))


def reports(
    made: Mapping[str, Study], files: Mapping[str, Path], folder: Path
) -> Iterator[tuple[str, Picture]]:
    """By OHIF and by dwv."""
    with (
        network_namespace() as within,
        running_orthanc(folder / "orthanc", within, plugins=[dicomweb_plugin()]) as orthanc,
        serving(ohif.PACKAGE.file(), folder, within, HTTP_PORT) as address,
        open_browser(address, folder, folder / "pictures", within) as browser,
    ):
        orthanc.store(*(path for name, path in files.items() if name.endswith((": film", ": sr"))))
        for name, study in made.items():
            film = str(study.film.SOPInstanceUID)
            browser.open(study.uid, film)
            browser.show("AI fracture report", film)
            browser.answer("No")
            shot = browser.shoot("report", lines=1)
            yield f"{name}: report, OHIF", Image.fromarray(shot.picture).crop(shot.canvas)
        dwv = Dwv(browser.page, {path.name: path.read_bytes() for path in files.values()})
        for name in made:
            shown = dwv.show(files[f"{name}: film"].name, files[f"{name}: sr"].name)
            yield f"{name}: report, dwv", Image.fromarray(shown.picture).crop(shown.canvas)


def sheet(pictures: list[tuple[str, Picture]]) -> Picture:
    """Pictures side by side, each with its name above it; small ones are not enlarged."""
    down = -(-len(pictures) // _ACROSS)
    paper = Image.new("RGB", (_ACROSS * _TILE, down * (_TILE + _CAPTION)), (60, 60, 60))
    pen = ImageDraw.Draw(paper)
    for number, (name, picture) in enumerate(pictures):
        x, y = number % _ACROSS * _TILE, number // _ACROSS * (_TILE + _CAPTION)
        pen.text((x + 4, y + 2), f"{name}, {picture.width} x {picture.height}", font_size=16)
        small = picture.convert("RGB")
        small.thumbnail((_TILE, _TILE))
        paper.paste(small, (x, y + _CAPTION))
    return paper


def main() -> None:
    """Writes the sheets, and the captures in full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the sheets go")
    out: Path = parser.parse_args().folder
    out.mkdir(parents=True, exist_ok=True)
    made = every_study()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = {
            f"{name}: {kind}": folder / f"{number}-{kind}"
            for number, (name, study) in enumerate(made.items())
            for kind in study.files()
        }
        for name, path in files.items():
            study, kind = name.split(": ")
            path.write_bytes(made[study].files()[kind])
        sheets = {kind: list(captures(_of_kind(files, kind))) for kind in CAPTURES}
        sheets["gsps"] = list(presentation_states(files, folder))
        sheets["sr"] = list(reports(made, files, folder))
        for kind, pictures in sheets.items():
            sheet(pictures).save(out / f"{kind}.png")
            print(f"{out / kind}.png: {len(pictures)} pictures")


def _of_kind(files: Mapping[str, Path], kind: str) -> dict[str, Path]:
    return {name: path for name, path in files.items() if name.endswith(f": {kind}")}


if __name__ == "__main__":
    main()
