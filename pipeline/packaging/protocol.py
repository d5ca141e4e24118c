"""How the figures of a package came about, in words: out of fold, on one fold, or on the val split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from pipeline.model_description import TrainingRecord
from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.packaging.held_out import HeldOut, TrainingData
from pipeline.packaging.run_record import RunRecord
from pipeline.training.fitting import FittingSettings
from pipeline.training.folds import GIANT_SHARE

# The published collection's file numbers, which the cleaned one keeps.
_FRACATLAS_ID = re.compile(r"(fa_|IMG)\d{7}")
FRACATLAS_CITATION = (
    "Abedeen I., Rahman M.A., Prottyasha F.Z., Ahmed T., Chowdhury T.M., Shatabda S., FracAtlas: A Dataset for "
    "Fracture Classification, Localization and Segmentation of Musculoskeletal Radiographs, Scientific Data "
    "10:521 (2023), doi 10.1038/s41597-023-02432-4"
)
FRACATLAS_DATA = "FracAtlas, cleaned: duplicates and truncated files removed, EXIF rotation applied"


def protocol_of(runs: Sequence[RunRecord]) -> str:
    """One line for `figures.json`."""
    first = runs[0]
    if first.folds is None:
        return "on val, which also chose the epoch, the calibration and the settings: the figures are optimistic"
    if len(runs) == 1:
        return f"on fold {first.fold} of {first.folds}, which the network never saw"
    return "out of fold: each film was read by the network that never saw it"


def protocol_paragraph(runs: Sequence[RunRecord], held: HeldOut) -> str:
    """What the card says before its figures."""
    first, count = runs[0], len(held.files)
    if first.folds is None:
        return (
            f"**Measured on the {count} films of val, which were also used to choose the epoch, the temperature, the "
            "thresholds and the region settings: these figures are optimistic.**"
        )
    if len(runs) == 1:
        return (
            f"Measured on the {count} films of fold {first.fold} of {first.folds}, which the network never saw. "
            "Temperature, thresholds and region settings were fitted on the same films, so the figures that depend on "
            "them are a little optimistic."
        )
    always = len(held.listing.files) - count
    return (
        f"**Out of fold.** The films were divided into {first.folds} folds of whole clusters; each network never saw one "
        f"of them, and no epoch was chosen by it. {_left_out(runs)}Each of the {count} films below was read by the one network that never "
        f"saw it, with the weights as they are shipped. {_always(held, always)}"
        "What serves is the mean of all networks, which was not measured here: no film of this collection is new to "
        "it. Temperature, operating points and region settings were fitted on all these out-of-fold scores. For "
        'calibration, and where a figure says "chosen on the other folds", each fold was judged by what the other '
        "folds alone would have chosen; the boxes' settings and the level of Dice were not, so those are a little "
        "optimistic. The score of every film lies in `out_of_fold/`."
    )


def _always(held: HeldOut, count: int) -> str:
    if not count:
        return ""
    sizes = Counter(file.cluster for file in held.listing.files)
    giants = [name for name, size in sizes.items() if size > GIANT_SHARE * len(held.listing.files)]
    return (
        f"{count} films trained every network and are in no figure, among them those of {len(giants)} large "
        f"cluster{'s' if len(giants) != 1 else ''} (each over {GIANT_SHARE:.0%} of all films). "
    )


def _left_out(runs: Sequence[RunRecord]) -> str:
    """Folds without a network of their own."""
    left = sorted(set(range(runs[0].folds or 0)) - {run.fold for run in runs})
    if not left:
        return ""
    folds = f"fold{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}"
    return f"No network was trained without {folds}: those films trained all of them. "


def is_fracatlas(held: HeldOut) -> bool:
    """Whether these are the films of FracAtlas, by the published file numbers."""
    if held.listing.layout == "fracatlas-published":
        return True
    return all(_FRACATLAS_ID.search(file.id) for file in held.listing.files)


def training_record(runs: Sequence[RunRecord], held: HeldOut, data: TrainingData) -> TrainingRecord:
    """Where the weights come from, for `model.toml` and the card."""
    known, first = is_fracatlas(held), runs[0]
    clusters = len({file.cluster for file in held.listing.files})
    how = (
        "by the data set's own train and val"
        if first.folds is None
        else f"{first.folds} folds of whole clusters, {clusters} clusters in all"
    )
    return TrainingRecord(
        data=f"{FRACATLAS_DATA if known else data.folder.resolve().name}, {len(held.listing.files)} films",
        citation=data.citation or (FRACATLAS_CITATION if known else "no citation given"),
        licence=data.licence or ("CC BY 4.0" if known else "not given"),
        split=f"{how}; no cluster (films of one patient) is ever cut",
    )


def training_command(run: RunRecord) -> str:
    """The command that makes such a run; what it leaves at its default is left out."""
    words = ["python -m pipeline.training --data DIR --out RUN"]
    if run.folds is not None:
        words.append(f"--folds {run.folds} --fold {run.fold}")
    shape, usual = run.shape, FractureNetSettings()
    words += [
        f"--{name} {' '.join(map(str, getattr(shape, name)))}"
        for name in ("widths", "blocks")
        if getattr(shape, name) != getattr(usual, name)
    ]
    if shape.backbone != usual.backbone:
        words.append(f"--backbone {shape.backbone}")
    if not shape.box_head:
        words.append("--no-box-head")
    for field in fields(FittingSettings):
        given = run.settings.get(field.name, field.default)
        if given != field.default:
            words.append(f"--{field.name.replace('_', '-')} {given}")
    return " ".join(words)
