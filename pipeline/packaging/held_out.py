"""Which films of a data set a run, or the runs of all folds, never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.evaluation.film_reading import Watched
from pipeline.evaluation.film_scores import ALWAYS_TRAINED
from pipeline.packaging.run_record import PackagingError, RunRecord
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.layouts import examine, list_dataset
from pipeline.training.datasets.problems import DatasetError, told
from pipeline.training.folds import folds_of


@dataclass(frozen=True)
class TrainingData:
    """Where the labelled films lie and how they are read; `citation` and `licence` if its owner gives them."""

    folder: Path
    layout: str | None = None
    grouping: Grouping = field(default_factory=Grouping)
    citation: str = ""
    licence: str = ""

    def listing(self, said: Callable[[str], None], watched: Watched = iter) -> Listing:
        """The films that can be read, with the labels that training used.

        Raises:
            DatasetError: the data cannot be used.
        """
        listing = list_dataset(self.folder, layout=self.layout, grouping=self.grouping, said=said)
        found = examine(listing, film_side=64, watched=watched)
        if found.fatal:
            lines = [f"{self.folder}: cannot be used", *told(found.fatal)]
            raise DatasetError("\n".join(lines), found.fatal)
        return found.listing


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The films with the member of each: k was held out by run k, `ALWAYS_TRAINED` by none."""

    listing: Listing
    folds: dict[str, int]

    @property
    def files(self) -> tuple[LabelledFile, ...]:
        """The films that a run held out."""
        return tuple(file for file in self.listing.files if self.folds[file.id] != ALWAYS_TRAINED)


def held_out_of(runs: Sequence[RunRecord], listing: Listing) -> HeldOut:
    """Recomputes the folds as training made them, and checks them against what each run scored.

    Raises:
        PackagingError: the data are not those of the run, or what was held out is all of one kind.
    """
    first = runs[0]
    if first.folds is None:
        folds = {file.id: 0 if file.split == "val" else ALWAYS_TRAINED for file in listing.files}
    else:
        of_cluster = folds_of(listing.files, first.folds)
        member_of = {run.fold: number for number, run in enumerate(runs)}
        folds = {
            file.id: member_of.get(of_cluster[file.cluster], ALWAYS_TRAINED) for file in listing.files
        }
    for number, run in enumerate(runs):
        mine = {name for name, fold in folds.items() if fold == number}
        if run.held_out is not None and set(run.held_out) != mine:
            raise PackagingError(
                f"{run.folder / 'scores.pt'}: {len(run.held_out)} films were held out, by these data they are "
                f"{len(mine)}, {len(mine & set(run.held_out))} of them the same; give the data of the training"
            )
    made = HeldOut(listing, folds)
    fractured = sum(file.fractured for file in made.files)
    if not 0 < fractured < len(made.files):
        raise PackagingError(
            f"{fractured} of {len(made.files)} held-out films are fractured; thresholds need films of both kinds"
        )
    return made
