"""MURA v1.1 (Rajpurkar et al., arXiv:1712.06957): `train|valid/XR_PART/patientN/studyN_positive|negative/imageN.png`."""

from __future__ import annotations

from pathlib import Path

from pipeline.training.datasets.class_names import split_of
from pipeline.training.datasets.labelled_file import LabelledFile, Listing, images_in, relative
from pipeline.training.datasets.problems import Problem, ProblemKind

_PREFIX = "XR_"
_OUTCOMES = ("positive", "negative")
_ABNORMAL = (
    "MURA says abnormal, not fractured: hardware, degeneration and lesions are positive too; a model that "
    "learns from it finds abnormal films, and its probability is none of a fracture"
)


def list_mura(folder: Path) -> Listing:
    """The films of both parts; the patient is the cluster, the study's ending is the label."""
    problems = [Problem(ProblemKind.NOT_FRACTURES, "mura", _ABNORMAL)]
    roots = [path for path in folder.glob(f"*/{_PREFIX}*") if path.is_dir()]
    parts = tuple(sorted({root.name.removeprefix(_PREFIX).lower() for root in roots}))
    files = []
    for root in sorted(roots):
        for path in images_in(root):
            file = _file(folder, path, parts, problems)
            if file is not None:
                files.append(file)
    return Listing("mura", tuple(files), parts, (), tuple(problems))


def _file(
    folder: Path, path: Path, parts: tuple[str, ...], problems: list[Problem]
) -> LabelledFile | None:
    name, levels = relative(path, folder), path.relative_to(folder).parts
    study = levels[-2]
    outcome = study.rpartition("_")[2].lower()
    if len(levels) != 5 or outcome not in _OUTCOMES:
        why = "a film lies in train|valid/XR_PART/patientN/studyN_positive|negative/"
        problems.append(Problem(ProblemKind.BAD_LABEL, name, why))
        return None
    part = levels[1].removeprefix(_PREFIX).lower()
    return LabelledFile(
        id=name,
        path=path,
        fractured=outcome == "positive",
        parts=tuple(part == one for one in parts),
        cluster=levels[2],
        split=split_of(levels[0]),
    )


def looks_like_mura(folder: Path) -> bool:
    """Whether there are XR_ folders under train or valid."""
    return any(path.is_dir() and split_of(path.parent.name) for path in folder.glob(f"*/{_PREFIX}*"))
