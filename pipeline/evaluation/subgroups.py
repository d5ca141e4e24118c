"""Groups of films that a figure is given for: body part, view, hardware, size of the fracture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.sample import Sample

Flags = npt.NDArray[np.bool_]
# Fewer films of either kind say nothing.
FEWEST = 5


@dataclass(frozen=True, eq=False)
class Subgroup:
    """Some of the films; `kind` and `name` as a reader sees them ("body part", "hand")."""

    kind: str
    name: str
    films: Flags

    @property
    def title(self) -> str:
        """Both in one."""
        return f"{self.kind}: {self.name}"


def subgroups(sample: Sample) -> list[Subgroup]:
    """Every body part, view and state of hardware that occurs; a film may be in several of a kind."""
    files = sample.files
    groups = [
        Subgroup("body part", name, np.array([file.parts[index] for file in files]))
        for index, name in enumerate(sample.part_names)
        if len(sample.part_names) > 1
    ]
    views = sorted({view for file in files for view in _views(file.view)})
    groups += [
        Subgroup("view", view, np.array([view in _views(file.view) for file in files]))
        for view in views
    ]
    hardware = np.array([file.hardware for file in files])
    if hardware.any():
        groups += [Subgroup("hardware", "yes", hardware), Subgroup("hardware", "no", ~hardware)]
    return [group for group in groups if group.films.any()]


def _views(view: str) -> list[str]:
    """A film may show two views side by side: "frontal;lateral"."""
    return [name for name in view.split(";") if name]


def fracture_sizes(sample: Sample) -> list[Subgroup]:
    """Fractured films with boxes in three equal shares by the area of their largest box."""
    areas = np.array(
        [
            max(((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in file.boxes), default=0)
            for file in sample.files
        ]
    )
    marked = sample.labels & (areas > 0)
    if marked.sum() < 3 * FEWEST:
        return []
    low, high = np.percentile(areas[marked], (100 / 3, 200 / 3))
    return [
        Subgroup("largest box", f"up to {low:.2%} of the film", marked & (areas <= low)),
        Subgroup("largest box", f"{low:.2%} to {high:.2%}", marked & (areas > low) & (areas <= high)),
        Subgroup("largest box", f"over {high:.2%}", marked & (areas > high)),
    ]
