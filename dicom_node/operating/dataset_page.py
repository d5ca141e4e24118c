"""What a data set holds, as pictures: counts, box sizes, a grid of films with their boxes; one file, opens offline."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from pipeline.findings import RESEARCH_NOTICE
from pipeline.training.datasets.film_reading import look_at
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.problems import told

if TYPE_CHECKING:
    from pipeline.training.datasets.layouts import Examination
    from pipeline.training.films import Film

_FRACTURED, _OTHER = "#b2182b", "#4393c3"
_GRID_ROWS, _GRID_COLUMNS = 4, 6
_SAMPLE_SIDE = 320
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "img{max-width:100%}td,th{padding:.15rem .8rem;text-align:right}td:first-child{text-align:left}"
    ".notice{border:2px solid #b2182b;padding:.5rem 1rem}"
)


def counted_by(listing: Listing) -> dict[str, dict[str, tuple[int, int]]]:
    """For split, body part, view, hardware and type: each value's (fractured, unfractured) films."""
    ways: dict[str, Callable[[LabelledFile], Sequence[str]]] = {
        "split": lambda file: (file.split,),
        "body part": lambda file: _named(listing.part_names, file.parts),
        "view": lambda file: file.view.split(";") if file.view else ("not said",),
        "hardware": lambda file: ("hardware" if file.hardware else "none named",),
        "type": lambda file: _named(listing.type_names, file.types),
    }
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for way, values_of in ways.items():
        counts = Counter((value, file.fractured) for file in listing.files for value in values_of(file))
        values = sorted({value for value, _ in counts})
        found[way] = {value: (counts[value, True], counts[value, False]) for value in values}
    return {way: counts for way, counts in found.items() if counts}


def _named(names: Sequence[str], shown: Sequence[bool]) -> list[str]:
    return [name for name, here in zip(names, shown, strict=True) if here]


def write_page(examination: Examination, title: str, out: Path) -> None:
    """An HTML page with its pictures inside, or one PNG, by the suffix of `out`."""
    listing = examination.listing
    if out.suffix.lower() == ".png":
        figure = Figure(figsize=(14, 20), layout="constrained")
        grid = figure.add_gridspec(2, 1, height_ratios=(2, 3))
        _draw_counts(figure.add_subfigure(grid[0]), listing)
        _draw_samples(figure.add_subfigure(grid[1]), listing)
        figure.suptitle(f"{title}: {len(listing.files)} films\n{RESEARCH_NOTICE}")
        figure.savefig(out, dpi=80)
        return
    pictures = []
    for size, draw in (((14, 8), _draw_counts), ((14, 10), _draw_samples)):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, listing)
        pictures.append(_embedded(figure))
    out.write_text(_page(examination, title, pictures), encoding="utf-8")


def _embedded(figure: Figure) -> str:
    stored = io.BytesIO()
    figure.savefig(stored, format="png", dpi=80)
    return "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode("ascii")


def _draw_counts(figure: Figure | SubFigure, listing: Listing) -> None:
    counts = counted_by(listing)
    for axes, (way, values) in zip(figure.subplots(2, 3).flat, counts.items(), strict=False):
        names = list(values)
        fractured, other = zip(*values.values(), strict=True)
        axes.barh(names, fractured, color=_FRACTURED, label="fractured")
        axes.barh(names, other, left=fractured, color=_OTHER, label="unfractured")
        axes.set_title(f"films by {way}")
        axes.legend(fontsize="small")
    axes = figure.axes[5]
    for empty in figure.axes[len(counts) : 5]:
        empty.set_axis_off()
    areas = [(x1 - x0) * (y1 - y0) * 100 for file in listing.files for x0, y0, x1, y1 in file.boxes]
    axes.set_title(f"area of {len(areas)} boxes, % of the film")
    if areas:
        axes.hist([max(area, 1e-3) for area in areas], bins=_bins(), color=_FRACTURED)
        axes.set_xscale("log")


def _bins() -> list[float]:
    return [10 ** (exponent / 5) for exponent in range(-15, 11)]


def _draw_samples(figure: Figure | SubFigure, listing: Listing) -> None:
    films = _samples(listing)
    for axes in figure.subplots(_GRID_ROWS, _GRID_COLUMNS).flat:
        axes.set_axis_off()
    for axes, film in zip(figure.axes, films, strict=False):
        axes.imshow(film.grey, cmap="gray", vmin=0, vmax=255)
        axes.set_title(
            film.id[-28:], fontsize="x-small", color=_FRACTURED if film.fractured else _OTHER
        )
        for x0, y0, x1, y1 in film.boxes:
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="yellow"))


def _samples(listing: Listing) -> list[Film]:
    """Half the grid from each class, evenly spread over the data set; the same ones each time."""
    wanted, chosen = _GRID_ROWS * _GRID_COLUMNS // 2, list[LabelledFile]()
    for fractured in (True, False):
        files = [file for file in listing.files if file.fractured is fractured]
        chosen += files[:: max(1, -(-len(files) // wanted))][:wanted]
    looks = [look_at(file, _SAMPLE_SIDE) for file in chosen]
    return [look.film for look in looks if look.film is not None]


def _page(examination: Examination, title: str, pictures: Sequence[str]) -> str:
    listing, safe = examination.listing, html.escape
    rows = [
        f"<tr><td>{safe(way)}: {safe(value)}</td><td>{fractured}</td><td>{other}</td></tr>"
        for way, values in counted_by(listing).items()
        for value, (fractured, other) in values.items()
    ]
    problems = "\n".join(told(examination.problems, 20)) or "none found"
    shown = "".join(
        f'<p><img alt="{alt}" src="{picture}"></p>'
        for alt, picture in zip(("counts and box sizes", "films with boxes"), pictures, strict=True)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{safe(title)}</title>'
        f"<style>{_STYLE}</style><h1>{safe(title)}</h1>"
        f'<p class="notice">{safe(RESEARCH_NOTICE)}</p>'
        f"<p>{len(listing.files)} readable films, layout {safe(listing.layout)}, "
        f"{len({file.cluster for file in listing.files})} patients or clusters.</p>"
        f"<table><tr><th></th><th>fractured</th><th>unfractured</th></tr>{''.join(rows)}</table>"
        f"{shown}<h2>Problems</h2><pre>{safe(problems)}</pre></html>\n"
    )
