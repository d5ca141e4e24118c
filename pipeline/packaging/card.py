"""The model card: what the model is for, what it is not for, how good it was on what, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

import cv2
import numpy as np
import torch

from pipeline.evaluation.figures import Figures
from pipeline.findings import RESEARCH_NOTICE
from pipeline.model_description import TrainingRecord
from pipeline.packaging.card_tables import (
    abstention_table,
    confusion_rows,
    failures,
    figure_rows,
    history_tables,
    overall_rows,
    subgroup_rows,
)
from pipeline.packaging.held_out import HeldOut
from pipeline.packaging.protocol import is_fracatlas, protocol_paragraph, training_command
from pipeline.packaging.run_record import RunRecord
from pipeline.packaging.tuning import Fitted


@dataclass(frozen=True, eq=False)
class Card:
    """Everything that the card says; `rounding` is what half precision does to a logit.

    `abstention`: the pixel gate's figures by name, None without a gate.
    """

    name: str
    version: str
    runs: tuple[RunRecord, ...]
    held: HeldOut
    training: TrainingRecord
    fitted: Fitted
    part_names: tuple[str, ...]
    type_names: tuple[str, ...]
    rounding: float
    figures: Figures
    abstention: Mapping[str, object] | None = None


_CARD = Template("""# $name $version

$notice

## What it does
From one radiograph of a limb, hip or shoulder: a probability that it shows a fracture, the coarse body part
($parts)$types, and boxes where a fracture may lie. It sees pixels only, one film at a time: no
history, no earlier film, no second view. $members

## Intended use
Research and teaching: running a DICOM node end to end, comparing methods, retrospective studies on data that
whoever runs it may use. Reports and overlays say so in words and in codes.

## Excluded use
Any decision about a patient: diagnosis, triage, exclusion of a fracture, prioritising a worklist. Nothing here was
measured by age: children's films have not been studied. Not for skull, spine, chest, abdomen, teeth or breast, nor
for CT, MR, fluoroscopy or photographs of films.

## Data and licence
Trained on $data: $fractured with a fracture, $clusters clusters.
Citation: $citation. Licence of the data: $licence. These weights are the project's own, under the project's licence.

Split: $split.

## Figures

$protocol

Intervals: 95 %, from $draws samples of whole clusters with replacement. A figure's films are in its second column.

| figure | films | value [95 %] |
| --- | --- | --- |
$rows

Compare with what needs no pixel at all: the share of fractures among films that agree in their labels, learnt on the
other films ($baseline_how).

| baseline | films | value [95 %] |
| --- | --- | --- |
$baselines

The share that is right by calling no film fractured is $no_fracture, so accuracy is no figure and none is given. A box is found when it
overlaps a labelled one by half (intersection over union), once per label, at most five boxes a film. Dice is of the heat at
or above $dice_level and the outlined fracture, on the heat map's cells. Even a perfectly calibrated model shows an expected
calibration error of a few hundredths at this many films; read slope, intercept and Brier score beside it.

| group | films | fractured | clusters with a fracture | AUC | sensitivity, sensitive point | specificity, sensitive point | top region hits |
| --- | --- | --- | --- | --- | --- | --- | --- |
$subgroups

## Calibration
Probability = sigmoid((logit $offset) / $temperature), fitted where $prevalence of the films show a fracture. Where
fractures are rarer it is too high, and slope and intercept above say nothing of another department.

## Operating points
| point | threshold | fractures called | fractures missed | normal films called | normal films passed |
| --- | --- | --- | --- | --- | --- |
$confusion

The sensitive point ("doubt") is the highest with a sensitivity of at least 0.90 on the films above; the specific point
("fracture") the lowest with a specificity of at least 0.90, not below the other. Between the two a film ends in doubt.
Set both anew on films of the site.

A region's probability is that its centre lies in a labelled fracture. Regions reach doubt at $region_doubt (from
there up every fifth one is a fracture) and fracture at $region_fracture (every second one; 0.9999: no such point was
found, and no region is called a fracture), and never say more than their film does. A suspicious film always shows
where to look first: its likeliest region is a doubt whatever its probability.

## Abstention
$abstention

## Where it fails
At the sensitive point, by group, the worst first (groups of five films and more, with two misread ones at least):

$failures

## What is not known, and limits
$limits
- No figure here was measured in another hospital, on another device or against a clinical outcome. Labels are
  readers' opinions, and some are wrong.
- Shortcuts: where films with metal or plaster are mostly fractured the model may read the plaster and not the bone;
  compare the group without hardware.
- Body parts are as coarse as their names; finer sites and sides are not told.
- Robustness to other processing, collimation and exposure is untested here.

## How it was trained
`python -m pipeline.training`: crops first, whole films second, $optimiser, running average of the weights.$specialists

```
$commands
```

Settings of every run:

```
$settings
```

Shape: $shape; $parameters parameters in all. Weights are stored in half precision, which moves the logit of the first
held-out films by at most $rounding. Packaged with torch $torch, numpy $numpy, OpenCV $opencv.

$history

## Digests
`model.toml` holds the sha256 of this card, of the weights and of every score; its own sha256 is the package's digest,
which stands in every result. `dicom-node model verify` checks all of them. The figures can be had again without a
film by `dicom-node evaluate --scores out_of_fold --data DIR`, and from the weights with `--out-of-fold`.
""")


def write_card(card: Card) -> str:
    """The card as Markdown; the same for the same runs, whenever it is written."""
    fitted, figures, first = card.fitted, card.figures, card.runs[0]
    files = card.held.listing.files
    parameters = sum(tensor.numel() for run in card.runs for tensor in run.weights.values())
    return _CARD.substitute(
        name=card.name,
        version=card.version,
        notice=RESEARCH_NOTICE,
        parts=", ".join(card.part_names),
        types=f", further labels ({', '.join(card.type_names)})" if card.type_names else "",
        members=_members(card),
        data=card.training.data,
        fractured=sum(file.fractured for file in files),
        clusters=len({file.cluster for file in files}),
        citation=card.training.citation,
        licence=card.training.licence,
        split=card.training.split,
        protocol=protocol_paragraph(card.runs, card.held),
        draws=figures.draws,
        rows=overall_rows(figures),
        baselines=figure_rows(figures.baselines),
        baseline_how="train" if first.folds is None else "the other folds",
        no_fracture=f"{1 - figures.fractured / figures.films:.0%}",
        dice_level="no level" if fitted.dice_level is None else fitted.dice_level,
        subgroups=subgroup_rows(figures),
        offset=f"{'-' if fitted.calibration.offset < 0 else '+'} {abs(fitted.calibration.offset)}",
        temperature=fitted.calibration.temperature,
        prevalence=f"{figures.fractured / figures.films:.0%}",
        confusion=confusion_rows(figures),
        region_doubt=fitted.regions.thresholds.doubt,
        region_fracture=fitted.regions.thresholds.fracture,
        abstention=abstention_table(card.abstention),
        failures=failures(figures),
        limits=_FRACATLAS_LIMITS if is_fracatlas(card.held) else _OTHER_LIMITS,
        optimiser=_optimiser(card),
        specialists=_specialists(card),
        commands="\n".join(training_command(run) for run in card.runs),
        settings="\n".join(f"{name} = {value}" for name, value in first.settings.items()),
        shape=", ".join(f"{name} {value}" for name, value in vars(first.shape).items()),
        parameters=f"{parameters:,}",
        rounding=f"{card.rounding:.4f}",
        torch=torch.__version__,
        numpy=np.__version__,
        opencv=cv2.__version__,
        history=history_tables(card.runs),
    )


def _members(card: Card) -> str:
    if len(card.runs) == 1:
        return "It is one network."
    return f"It is {len(card.runs)} networks of one shape, each trained without one fold of a cross-validation; what they say is averaged."


def _optimiser(card: Card) -> str:
    moved_by_muon = float(card.runs[0].settings.get("matrix_rate", 0)) > 0
    return "Muon for convolutions and AdamW for the rest" if moved_by_muon else "AdamW"


def _specialists(card: Card) -> str:
    special = [card.part_names[index] for index in card.runs[0].shape.specialists]
    if not special:
        return " One fracture head reads every body part."
    others = [name for name in card.part_names if name not in special]
    rest = f"; {', '.join(others)} use the shared head alone" if others else ""
    return (
        f" Body parts with at least 100 fractured films to train on have a fracture head of their own beside the shared "
        f"one ({', '.join(special)}){rest}."
    )


_FRACATLAS_LIMITS = """- One collection from one country; no ages, no sex, no devices, no clinical outcome.
- Of 41 groups of duplicate films 12 were labelled in two ways. Nearly every film with hardware is fractured, and casts
  are frequent among fractures.
- Targets are tiny (a median box covers 0.4 % of the film). Two annotators' outlines agree at a Dice of 0.69.
- "hand" runs from elbow to fingers, "leg" from thigh to toes.
- A sealed part of the collection was neither fitted, chosen nor measured on: that figure is not in this card.
- Films are 8-bit JPEG reductions."""
_OTHER_LIMITS = (
    "- One collection; what it does not record (ages, devices, outcomes) could not be measured."
)
