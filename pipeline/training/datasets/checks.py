"""What can only be seen across films: overlapping splits, empty classes, copies, near-duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pipeline.training.datasets.labelled_file import LabelledFile
from pipeline.training.datasets.problems import Problem, ProblemKind

Fingerprint = npt.NDArray[np.bool_]
# Of a 256-bit DCT hash. Among FracAtlas's 3,140 cleaned films the two nearest pairs (20 and 26 bits) look
# like one exposure each; the next (30 and on) are different hands and feet in the same pose.
NEAR_BITS = 28


@dataclass(frozen=True)
class Seen:
    """One film that could be read: its labels, the SHA-256 of its bytes, and how it looks (256 bits)."""

    file: LabelledFile
    digest: str
    fingerprint: Fingerprint | None = None


def problems_across(seen: Sequence[Seen], *, training: bool = True) -> Iterator[Problem]:
    """Everything that no single film shows; without `training`, the splits need not hold both classes."""
    yield from _twice_named(seen)
    yield from _cut_clusters(seen)
    yield from _copies(seen)
    yield from _near_duplicates(seen)
    if training:
        yield from _empty_classes(seen)


def _twice_named(seen: Sequence[Seen]) -> Iterator[Problem]:
    names: set[str] = set()
    for one in seen:
        if one.file.id in names:
            yield Problem(ProblemKind.BAD_LABEL, one.file.id, "two films have this id")
        names.add(one.file.id)


def _cut_clusters(seen: Sequence[Seen]) -> Iterator[Problem]:
    clusters: dict[str, dict[str, str]] = defaultdict(dict)
    for one in seen:
        clusters[one.file.cluster].setdefault(one.file.split, one.file.id)
    for cluster, splits in clusters.items():
        if len(splits) > 1:
            places = ", ".join(f"{split} ({film})" for split, film in splits.items())
            yield Problem(ProblemKind.SPLIT_OVERLAP, f"patient or cluster {cluster}", f"is in {places}")


def _copies(seen: Sequence[Seen]) -> Iterator[Problem]:
    digests: dict[str, list[LabelledFile]] = defaultdict(list)
    for one in seen:
        digests[one.digest].append(one.file)
    for files in digests.values():
        if len(files) == 1:
            continue
        names = ", ".join(f"{file.id} ({file.split})" for file in files)
        overlap = len({file.split for file in files}) > 1
        kind = ProblemKind.SPLIT_OVERLAP if overlap else ProblemKind.SAME_FILE
        yield Problem(kind, files[0].id, f"the same bytes: {names}")
        if len({file.fractured for file in files}) > 1:
            yield Problem(
                ProblemKind.CONTRADICTION, files[0].id, f"copies with different labels: {names}"
            )


def near_pairs(prints: npt.NDArray[np.bool_], most: int = NEAR_BITS) -> Iterator[tuple[int, int]]:
    """Pairs of rows (films, bits) that differ in at most `most` bits, the lower index first."""
    bits = prints.astype(np.float32)
    ones = bits.sum(1)
    for start in range(0, len(bits), 1024):
        some = bits[start : start + 1024]
        apart = ones[start : start + 1024, None] + ones[None] - 2 * (some @ bits.T)
        for row, column in zip(*np.nonzero(apart <= most + 0.5), strict=True):
            if start + row < column:
                yield int(start + row), int(column)


def _near_duplicates(seen: Sequence[Seen]) -> Iterator[Problem]:
    known = [
        (one, one.fingerprint) for one in seen if one.fingerprint is not None and one.fingerprint.any()
    ]
    if not known:
        return
    for a, b in near_pairs(np.stack([fingerprint for _, fingerprint in known])):
        one, other = known[a][0], known[b][0]
        if one.file.split != other.file.split and one.digest != other.digest:
            pair = f"looks the same as {other.file.id}; they are in {one.file.split} and {other.file.split}"
            yield Problem(ProblemKind.NEAR_DUPLICATE, one.file.id, pair)


def _empty_classes(seen: Sequence[Seen]) -> Iterator[Problem]:
    held = {(one.file.split, one.file.fractured) for one in seen}
    for split in ("train", "val"):
        for fractured, word in ((True, "fractured"), (False, "unfractured")):
            if (split, fractured) not in held:
                why = f"no {word} film; classes: {_classes(seen)}"
                yield Problem(ProblemKind.EMPTY_CLASS, split, why)


def _classes(seen: Sequence[Seen]) -> str:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in seen:
        counts[one.file.split][one.file.fractured] += 1
    return (
        "; ".join(f"{split} {yes} fractured, {no} not" for split, (no, yes) in sorted(counts.items()))
        or "none at all"
    )


def merged(names: Sequence[str], pairs: Iterator[tuple[int, int]]) -> list[str]:
    """`names` of groups, with the groups of each pair (indices) made one; the smallest name stays."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for a, b in pairs:
        first, second = sorted((root(names[a]), root(names[b])))
        parent[second] = first
    return [root(name) for name in names]


def chained(groups: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Pairs that join each group of indices."""
    for group in groups:
        yield from combinations(group, 2)
