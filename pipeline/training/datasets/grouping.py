"""Which films are of one patient, and the split that never cuts a patient."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind

VAL_SHARE = 0.15
_PATIENT = re.compile(r"patient[-_]?\d+", re.IGNORECASE)
_REMEDY = (
    "add a table of patients (patients.csv: file,patient), or give --group-by REGEX for file names "
    "(its first group names the patient), or --each-film-alone if every film is of another patient"
)


@dataclass(frozen=True)
class Grouping:
    """How films without a patient are grouped. `by` is a regular expression for file names.

    Raises:
        DatasetError: both are given, or `by` is no regular expression.
    """

    by: str = ""
    each_film_alone: bool = False

    def __post_init__(self) -> None:
        if self.by and self.each_film_alone:
            raise DatasetError("--group-by and --each-film-alone: give one of them")
        try:
            re.compile(self.by)
        except re.error as error:
            raise DatasetError(f"--group-by {self.by!r}: no regular expression, {error}") from error


def group(listing: Listing, grouping: Grouping) -> Listing:
    """The listing with a cluster for every film.

    `--group-by` comes first, then what the layout says, then file names that all begin with "patient" and
    a number, then `--each-film-alone`.

    Raises:
        DatasetError: nothing says which films belong together.
    """
    files, pattern = listing.files, re.compile(grouping.by) if grouping.by else None
    if pattern is None and any(file.cluster for file in files):
        return _with_gaps_named(listing)
    if pattern is None and files and all(_PATIENT.match(file.path.name) for file in files):
        pattern = _PATIENT
    if pattern is not None:
        named = tuple(replace(file, cluster=_named(pattern, file)) for file in files)
        return _with_gaps_named(replace(listing, files=named))
    if not grouping.each_film_alone:
        raise DatasetError(
            f"layout {listing.layout}: nothing says which films are of one patient, and a split that cuts "
            f"a patient measures nothing; {_REMEDY}"
        )
    alone = tuple(replace(file, cluster=file.id) for file in files)
    problem = Problem(
        ProblemKind.EACH_ALONE, listing.layout,
        f"{len(files)} films are each taken for a patient of their own (--each-film-alone); where two views "
        "of one patient fall into train and val, every figure is too good",
    )  # fmt: skip
    return replace(listing, files=alone, problems=(*listing.problems, problem))


def _named(pattern: re.Pattern[str], file: LabelledFile) -> str:
    found = pattern.search(file.path.name)
    if found is None:
        return ""
    return (found[1] if pattern.groups else found[0]) or ""


def _with_gaps_named(listing: Listing) -> Listing:
    gaps = tuple(
        Problem(ProblemKind.BAD_LABEL, file.id, f"no patient is found for {file.path.name}; {_REMEDY}")
        for file in listing.files
        if not file.cluster
    )
    return replace(listing, problems=(*listing.problems, *gaps))


def divide(listing: Listing, said: Callable[[str], None], val_share: float = VAL_SHARE) -> Listing:
    """The listing with a split for every film: the given one, and `val` out of `train` where it has none.

    Clusters with and without a fracture are ordered by the SHA-256 of their names; the first of each
    kind go to val. The same films give the same split on any machine.
    """
    if any(file.split == "val" for file in listing.files):
        return listing
    kinds: dict[str, bool] = defaultdict(bool)
    for file in listing.files:
        if file.split in ("", "train"):
            kinds[file.cluster] |= file.fractured
    val: set[str] = set()
    for kind in (False, True):
        ordered = sorted((name for name in kinds if kinds[name] is kind), key=_order)
        wanted = round(len(ordered) * val_share)
        val.update(ordered[: max(1, wanted) if len(ordered) > 1 else 0])
    said(f"no val split is given: {len(val)} of {len(kinds)} patients or clusters go to val, by hash")
    return replace(listing, files=tuple(_placed(file, val) for file in listing.files))


def _order(cluster: str) -> bytes:
    return hashlib.sha256(cluster.encode()).digest()


def _placed(file: LabelledFile, val: set[str]) -> LabelledFile:
    if file.split not in ("", "train"):
        return file
    return replace(file, split="val" if file.cluster in val else "train")
