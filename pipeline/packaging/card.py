"""The model card: what the model is for, what it is not for, how good it was on what, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

import cv2
import numpy as np
import torch

from pipeline.findings import RESEARCH_NOTICE
from pipeline.model_description import TrainingRecord
from pipeline.packaging.run_record import RunRecord
from pipeline.packaging.val_report import Fitted, Row

# FracAtlas, as its licence wants it named.
FRACATLAS = TrainingRecord(
    data="FracAtlas, cleaned: duplicates and truncated files removed, EXIF rotation applied, one label mended, "
    "longest side at most 512 pixels",
    citation="Abedeen I., Rahman M.A., Prottyasha F.Z., Ahmed T., Chowdhury T.M., Shatabda S., FracAtlas: A Dataset "
    "for Fracture Classification, Localization and Segmentation of Musculoskeletal Radiographs, Scientific Data "
    "10:521 (2023), doi 10.1038/s41597-023-02432-4",
    licence="CC BY 4.0",
    split="by cluster: neighbouring files, which are views of one patient, stay together",
)


@dataclass(frozen=True, eq=False)
class Card:
    """Everything that the card says; `rounding` is what half precision does to a logit."""

    name: str
    version: str
    run: RunRecord
    fitted: Fitted
    part_names: tuple[str, ...]
    train_films: int
    train_fractured: int
    val_films: int
    draws: int
    rounding: float
    rows: tuple[Row, ...]
    baselines: tuple[Row, ...]


_CARD = Template("""# $name $version

$notice

## What it does
From one radiograph of a limb, hip or shoulder: a probability that it shows a fracture, the coarse body part
($parts), and boxes where a fracture may lie. It sees pixels only, one film at a time: no
history, no earlier film, no second view.

## Intended use
Research and teaching: running a DICOM node end to end, comparing methods, retrospective studies on data that
whoever runs it may use. Reports and overlays say so in words and in codes.

## Excluded use
Any decision about a patient: diagnosis, triage, exclusion of a fracture, prioritising a worklist. Films of
children have not been studied: the training data carry no ages. Not for skull, spine, chest, abdomen, teeth or
breast, nor for CT, MR, fluoroscopy or photographs of films.

## Data and licence
Trained on $data.
$citation. Licence of the data: $licence; changes to it are those named here. These weights are the
project's own, under the project's licence.

Split $split. $train_films films to train ($train_fractured with a fracture), $val_films in val.
A third part of the data is sealed: these weights were not fitted, chosen or measured on it.

## Figures on val

**Val was used to choose the epoch, the temperature, the thresholds and the region settings, so these figures
are optimistic.** Intervals: 95 %, from $draws bootstrap samples of whole clusters. They do not cover the optimism.

| figure | films | value [95 %] |
| --- | --- | --- |
$rows

Compare with what needs no pixel at all (rates of the train split, same films):

| baseline | films | value [95 %] |
| --- | --- | --- |
$baselines

"Never a fracture" is right for most films, so accuracy is no figure and none is given. Calibration was fitted on
val: its slope and intercept are 1 and 0 there by construction and say nothing. A box is found when it
overlaps a labelled one by half (intersection over union), once per label. Sealed test: not measured yet.

## Operating points
| point | threshold | chosen as |
| --- | --- | --- |
| doubt (sensitive) | $doubt | highest with a sensitivity of at least 0.90 on val |
| fracture (specific) | $fracture | lowest with a specificity of at least 0.90 on val, not below doubt |

Between the two the film ends in doubt. Probability = sigmoid((logit + $offset) / $temperature): it holds where
about one film in six shows a fracture, as here. Where fractures are rarer it is too high; set both thresholds
anew on films of the site.

A region's probability is that its centre lies in a labelled fracture. Regions reach doubt at $region_doubt (from
there up every fifth one is a fracture on val) and fracture at $region_fracture (every second one; 0.9999: no
such point was found, and no region is called a fracture), and never say more than their film does. A suspicious
film always shows where to look first: its likeliest region is a doubt whatever its probability.

## What is not known, and limits
- One collection from one country; no ages, no sex, no devices, no clinical outcome. Labels are readers' opinions,
  some of them wrong: of 41 groups of duplicate films 12 were labelled in two ways.
- Shortcuts: nearly every film with hardware is fractured, and casts are frequent among fractures. The model may
  read the plaster and not the bone; compare the figure without hardware.
- Targets are tiny (a median box covers 0.4 % of the film). Two annotators' outlines agree at a Dice of 0.69.
- "hand" runs from elbow to fingers, "leg" from thigh to toes; finer sites are not told.
- Scope: a film is refused by its header only. The pixels are not gated yet: a chest film that is labelled as a
  hand is read as a hand.
- Films are 8-bit JPEG reductions; other processing, collimation and exposure are untested here.

## How it was trained
From random weights, no pretraining: `python -m pipeline.training`, crops first, whole films second, AdamW, running
average of the weights; epoch $best_epoch of $epochs shipped (highest AUC on val). Settings:

```
$settings
```

Shape: widths $widths, blocks $blocks, $parameters parameters. Weights are stored in half precision, which moves the
logit of the first val films by at most $rounding. Packaged with torch $torch, numpy $numpy, OpenCV $opencv.

| epoch | loss | AUC on val |
| --- | --- | --- |
$history
""")


def write_card(card: Card) -> str:
    """The card as Markdown; the same for the same run, whenever it is written."""
    fitted, run = card.fitted, card.run
    return _CARD.substitute(
        name=card.name,
        version=card.version,
        notice=RESEARCH_NOTICE,
        parts=", ".join(card.part_names),
        data=FRACATLAS.data,
        citation=FRACATLAS.citation,
        licence=FRACATLAS.licence,
        split=FRACATLAS.split,
        train_films=card.train_films,
        train_fractured=card.train_fractured,
        val_films=card.val_films,
        draws=card.draws,
        rows=_table(card.rows),
        baselines=_table(card.baselines),
        doubt=fitted.thresholds.doubt,
        fracture=fitted.thresholds.fracture,
        offset=fitted.calibration.offset,
        temperature=fitted.calibration.temperature,
        region_doubt=fitted.regions.thresholds.doubt,
        region_fracture=fitted.regions.thresholds.fracture,
        best_epoch=run.best_epoch,
        epochs=len(run.history),
        settings="\n".join(f"{name} = {value}" for name, value in run.settings.items()),
        widths=", ".join(map(str, run.shape.widths)),
        blocks=", ".join(map(str, run.shape.blocks)),
        parameters=f"{sum(tensor.numel() for tensor in run.weights.values()):,}",
        rounding=f"{card.rounding:.4f}",
        torch=torch.__version__,
        numpy=np.__version__,
        opencv=cv2.__version__,
        history=_history(run.history),
    )


def _table(rows: tuple[Row, ...]) -> str:
    return "\n".join(f"| {row.name} | {row.films} | {row.estimate} |" for row in rows)


def _history(history: list[dict[str, float]]) -> str:
    return "\n".join(
        f"| {line['epoch']:.0f} | {line['loss']:.4f} | {_figure(line.get('val_auc'))} |"
        for line in history
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
