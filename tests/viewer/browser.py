"""Chromium without a screen, in a network namespace: it reaches the archive's viewer and nothing else."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipeline.geometry import Box
from tests.real_parts import program

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 1280, 900
# A machine that is busy elsewhere draws slowly, without a graphics card.
PATIENCE_MS = 240_000
FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)
# Whether the viewport shows this image, drawn with its window.
_DRAWN = """
(image) => (window.cornerstone?.getEnabledElements() ?? []).some(
  ({ viewport }) =>
    viewport.viewportStatus === 'rendered' &&
    viewport.getCurrentImageId?.()?.includes(image) &&
    viewport.getProperties().voiRange
)
"""
# Cornerstone's drawing surface, the lines of annotations over it, and their words.
CANVAS = "canvas.cornerstone-canvas"
LINES = "svg.svg-layer polyline, svg.svg-layer path"
WORDS = "svg.svg-layer text"
# The dotted lines from a box to its words: end points, in pixels of the window.
_LINKS = """
() => [...document.querySelectorAll('svg.svg-layer line')].map((line) => {
  const { x, y } = line.ownerSVGElement.getBoundingClientRect();
  const [x0, y0, x1, y1] = ['x1', 'y1', 'x2', 'y2'].map((name) => Number(line.getAttribute(name)));
  return [x + x0, y + y0, x + x1, y + y1];
})
"""
# A series in the list at the left, with a thumbnail or without; and the question that comes with a report.
SERIES = "[data-cy^=study-browser-thumbnail]"
QUESTION = "Do you want to continue tracking measurements for this study?"


@dataclass(frozen=True)
class Shot:
    """A picture of the browser's window, uint8 (rows, columns, 3), and what its page says of itself.

    `canvas`: the film's drawing surface, in pixels of the picture; `words`: the boxes of words drawn there;
    `links`: the ends of the dotted lines from marks to their words; `text`: all that can be read on the page.
    """

    picture: Picture
    canvas: Box
    words: tuple[Box, ...]
    links: tuple[Box, ...]
    text: str


@dataclass
class Browser:
    """A window, the folder of its pictures, and the errors that its pages did not catch."""

    page: Page
    address: str
    pictures: Path
    errors: list[str] = field(default_factory=list)

    def open(self, study: str, image: str) -> None:
        """The viewer on a study; it begins with this image."""
        self.errors.clear()
        self.page.goto(f"{self.address}/viewer?StudyInstanceUIDs={study}", timeout=PATIENCE_MS)
        self.page.wait_for_function(_DRAWN, arg=image, timeout=PATIENCE_MS)

    def show(self, series: str, image: str) -> None:
        """A double click on a series of the study, which brings this image."""
        self.page.locator(SERIES).filter(has_text=series).dblclick(timeout=PATIENCE_MS)
        self.page.wait_for_function(_DRAWN, arg=image, timeout=PATIENCE_MS)

    def begin(self, series: str, says: str) -> None:
        """A double click on a series that is never shown; ends when the viewer says these words over the film."""
        self.page.locator(SERIES).filter(has_text=series).dblclick(timeout=PATIENCE_MS)
        self.page.get_by_text(says).wait_for(timeout=PATIENCE_MS)

    def lines(self) -> int:
        """How many lines lie over what is shown."""
        return int(self.page.locator(LINES).count())

    def answer(self, answer: Literal["Yes", "No"]) -> None:
        """To the question whether the report's regions shall become the reader's own measurements."""
        question = self.page.get_by_text(QUESTION)
        question.wait_for(timeout=PATIENCE_MS)
        self.page.get_by_role("button", name=answer, exact=True).click(timeout=PATIENCE_MS)
        question.wait_for(state="hidden", timeout=PATIENCE_MS)

    def shoot(self, name: str, *, lines: int = 0) -> Shot:
        """The window as it is once so many lines are drawn and nothing moves any more."""
        until = time.monotonic() + PATIENCE_MS / 1000
        while self.lines() < lines:
            assert time.monotonic() < until, f"fewer than {lines} lines; {self.errors}"
            # OHIF draws a report's lines with the next drawing of the film. Where it is slow the film was drawn
            # before; "fit to window" draws it again. ("Reset", the space bar, inverts MONOCHROME1.)
            self.page.keyboard.press("=")
            self.page.wait_for_timeout(500)
        self.page.wait_for_load_state("networkidle", timeout=PATIENCE_MS)
        self.page.wait_for_timeout(1000)
        path = self.pictures / f"{name}.png"
        self.page.screenshot(path=path, timeout=PATIENCE_MS)
        (canvas,) = self._boxes(CANVAS)
        picture = np.asarray(Image.open(path).convert("RGB"))
        links = tuple(tuple(ends) for ends in self.page.evaluate(_LINKS))
        return Shot(picture, canvas, self._boxes(WORDS), links, self.page.inner_text("body"))

    def _boxes(self, selector: str) -> tuple[Box, ...]:
        found = [one.bounding_box() for one in self.page.locator(selector).all()]
        return tuple(
            (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            for box in found
            if box is not None
        )


@contextlib.contextmanager
def open_browser(
    address: str, folder: Path, pictures: Path, within: tuple[str, ...]
) -> Iterator[Browser]:
    """A window of WIDTH x HEIGHT pixels."""
    pictures.mkdir(parents=True, exist_ok=True)
    launcher = folder / "chromium"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join([*within, program("chromium")])} "$@"\n')
    launcher.chmod(0o700)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=launcher, args=list(FLAGS), timeout=PATIENCE_MS
        )
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1)
        browser = Browser(page, address, pictures)
        page.on("pageerror", lambda error: browser.errors.append(str(error)))
        yield browser
        chromium.close()
