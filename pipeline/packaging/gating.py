"""The pixels' gate of the networks that are packaged, fitted on the films that each of them held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from pipeline.gate_fitting.fitting import FittedGate, fit_gate
from pipeline.gate_fitting.real_pictures import real_pictures
from pipeline.model_input import InputSettings
from pipeline.packaging.held_out import HeldOut
from pipeline.training.datasets.film_reading import look_at


def gate_of(
    networks: Sequence[nn.Module],
    held: HeldOut,
    settings: InputSettings,
    *,
    outliers: Path | None = None,
    each: int = 60,
    said: Callable[[str], None] = print,
) -> FittedGate:
    """The gate; `outliers` is a folder of folders of real pictures, each named after its kind, that are
    counted; `each`: made outliers of every kind.

    Raises:
        GateFittingError: a network held out too few films.
    """
    said(f"fitting the gate of the pixels on {len(held.files)} held-out films")
    looks = [look_at(file, settings.film_side) for file in held.listing.files]
    films = [look.film for look in looks if look.film is not None]
    folds = [held.folds[film.id] for film in films]
    measured = real_pictures(outliers, said) if outliers is not None else ()
    fitted = fit_gate(films, networks, folds, settings, measured=measured, each=each, said=said)
    for figure in fitted.figures:
        said(str(figure))
    return fitted
