"""What is wrong with a data set is named; what would spoil a training forbids it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.training.datasets.film_reading import decode
from pipeline.training.datasets.layouts import examine, list_dataset, read_dataset
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind, told
from tests.made_datasets import ROWS, draw, make_coco, make_folder, make_yolo
from tests.made_films import make_fracatlas
from tests.pipeline.test_datasets import BY_PREFIX

Spoil = Callable[[Path], object]


def problems(folder: Path, layout: str | None = None) -> dict[ProblemKind, list[Problem]]:
    """Everything that a check finds, by kind."""
    grouping = BY_PREFIX if (folder / "classes.txt").is_file() else None
    listing = list_dataset(folder, layout=layout, grouping=grouping, said=lambda _: None)
    found: dict[ProblemKind, list[Problem]] = {}
    for problem in examine(listing).problems:
        found.setdefault(problem.kind, []).append(problem)
    return found


def change(path: Path, line: int, column: str, value: str) -> None:
    """Writes one cell of a table; `line` counts from the first below the head."""
    with path.open(newline="") as table:
        rows = list(csv.DictReader(table))
    rows[line][column] = value
    with path.open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def cut(path: Path) -> None:
    """Loses the end of a file."""
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("made", [make_fracatlas, make_folder, make_coco, make_yolo])
def test_a_sound_set_has_no_problems(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    """Nothing is called a problem that is none."""
    assert problems(made(tmp_path)) == {}


LEFT_OUT: dict[str, tuple[Spoil, ProblemKind]] = {
    "gone": (lambda root: (root / "images/made_003.jpg").unlink(), ProblemKind.NO_FILE),
    "truncated": (lambda root: cut(root / "images/made_003.jpg"), ProblemKind.CORRUPT),
    "empty": (lambda root: (root / "images/made_003.jpg").write_bytes(b""), ProblemKind.CORRUPT),
    "text": (lambda root: (root / "images/made_003.jpg").write_text("no film"), ProblemKind.CORRUPT),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_film_that_cannot_be_read_is_named_and_left_out(tmp_path: Path, case: str) -> None:
    """One bad film among many stops nothing."""
    spoil, kind = LEFT_OUT[case]
    spoil(make_fracatlas(tmp_path))
    found = problems(tmp_path)
    assert list(found) == [kind]
    assert found[kind][0].where.endswith("made_003.jpg")
    films = read_dataset(tmp_path, layout=None, film_side=64, said=lambda _: None).films
    assert "made_003" not in {film.id for film in films}
    assert len(films) == 31


FATAL: dict[str, tuple[Spoil, str]] = {
    "a class of 2": (
        lambda root: change(root / "labels.csv", 2, "fractured", "2"),
        r"labels\.csv:4: fractured is '2'; it must be 0 or 1",
    ),
    "an edge of words": (
        lambda root: change(root / "boxes.csv", 0, "x0", "left"),
        r"boxes\.csv:2: an edge is no number",
    ),
    "an edge that is not finite": (
        lambda root: change(root / "boxes.csv", 1, "y1", "nan"),
        r"boxes\.csv:3: an edge is not finite",
    ),
    "polygons of words": (
        lambda root: (root / "masks.json").write_text(json.dumps({"made_000": [["a", "b"]]})),
        r"masks\.json: made_000: no lists",
    ),
    "an id twice": (
        lambda root: change(root / "labels.csv", 1, "id", "made_000"),
        r"made_000: two films have this id",
    ),
    "a cluster in two splits": (
        lambda root: change(root / "labels.csv", 0, "split", "val"),
        r"cluster C0: is in val \(made_000\), train \(made_001\)",
    ),
    "a file in two splits": (
        lambda root: shutil.copy(root / "images/made_001.jpg", root / "images/made_006.jpg"),
        r"the same bytes: made_001 \(train\), made_006 \(val\)",
    ),
}


@pytest.mark.parametrize("case", FATAL)
def test_what_would_spoil_a_training_forbids_it(tmp_path: Path, case: str) -> None:
    """Nonsense in a table with its file and line, and every overlap of the splits."""
    spoil, message = FATAL[case]
    spoil(make_fracatlas(tmp_path))
    with pytest.raises(DatasetError, match=message) as raised:
        read_dataset(tmp_path, layout=None, film_side=64, said=lambda _: None)
    assert all(problem.kind.fatal for problem in raised.value.problems)


@pytest.mark.parametrize("column", ["id", "cluster"])
def test_a_table_without_a_column_is_named(tmp_path: Path, column: str) -> None:
    """Which file, which column."""
    make_fracatlas(tmp_path)
    path = tmp_path / "labels.csv"
    path.write_text(path.read_text().replace(column, f"other_{column}", 1))
    with pytest.raises(DatasetError, match=rf"labels\.csv: no column {column}"):
        read_dataset(tmp_path, layout=None, film_side=64)


def test_a_class_without_films_forbids_training(tmp_path: Path) -> None:
    """In val as in train; the counts are told."""
    make_folder(tmp_path)
    shutil.rmtree(tmp_path / "val/fractured")
    with pytest.raises(DatasetError, match=r"val: no fractured film; .*train 4 fractured, 4 not"):
        read_dataset(tmp_path, layout=None, film_side=64, said=lambda _: None)
    read_dataset(tmp_path, layout=None, film_side=64, said=lambda _: None, training=False)


def test_classes_of_which_none_is_normal_are_refused(tmp_path: Path) -> None:
    """Nobody guesses which class has no fracture."""
    make_folder(tmp_path, ("type a", "type b"))
    with pytest.raises(DatasetError, match=r"the classes are type a, type b"):
        read_dataset(tmp_path, layout="folder", film_side=64)


def test_a_mask_of_another_size_forbids_training(tmp_path: Path) -> None:
    """It was drawn on another picture."""
    make_folder(tmp_path)
    film = next((tmp_path / "train/fractured").glob("*.png"))
    draw(film.parent / "masks" / film.name, 1, rows=ROWS // 2)
    (found,) = problems(tmp_path)[ProblemKind.MASK_SIZE]
    assert found.kind.fatal
    assert film.name in found.where
    assert "the mask is 48 x 32, its film 48 x 64" in found.detail


def test_a_mask_without_a_film_is_named(tmp_path: Path) -> None:
    """It may be a film that was lost."""
    make_folder(tmp_path)
    draw(tmp_path / "train/fractured/masks/nobody.png", 1)
    assert "nobody.png" in problems(tmp_path)[ProblemKind.NO_FILM][0].where


def test_boxes_are_clipped_a_little_and_left_out_beyond(tmp_path: Path) -> None:
    """A slip of 1 % is clipped and named, half a film is left out and named."""
    make_yolo(tmp_path)
    first, second, third = [
        path for path in sorted((tmp_path / "labels").rglob("*.txt")) if path.read_text()
    ][:3]
    first.write_text("0 0.24 0.5 0.5 0.5\n")
    second.write_text("0 0.0 0.5 1.0 0.5\n")
    third.write_text("0 0.5 0.5 0.5 0.0\n")
    found = problems(tmp_path)
    assert set(found) == {ProblemKind.BOX_CLIPPED, ProblemKind.BOX_OUTSIDE}
    assert first.stem in found[ProblemKind.BOX_CLIPPED][0].where
    assert [Path(problem.where).stem for problem in found[ProblemKind.BOX_OUTSIDE]] == [
        second.stem,
        third.stem,
    ]
    films = read_dataset(
        tmp_path, layout=None, film_side=64, said=lambda _: None, grouping=BY_PREFIX
    ).films
    boxes = {Path(film.id).stem: film.boxes for film in films}
    assert boxes[first.stem][0][0] == 0
    assert boxes[second.stem] == boxes[third.stem] == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0.5 0.5 0.5 0.5", "class 1 of 1"),
        ("0 0.5 0.5 0.5", "3 values"),
        ("0 0.5 0.5 0.5 nan", "not finite"),
        ("fracture 0.5 0.5 0.5 0.5", "invalid literal"),
    ],
)
def test_a_yolo_line_of_nonsense_is_named(tmp_path: Path, line: str, message: str) -> None:
    """File, line, what it says and why not."""
    make_yolo(tmp_path)
    label = sorted((tmp_path / "labels").rglob("*.txt"))[0]
    label.write_text(f"0 0.5 0.5 0.5 0.5\n{line}\n")
    (found,) = problems(tmp_path)[ProblemKind.BAD_LABEL]
    assert found.where == f"{label}:2"
    assert message in found.detail


def test_yolo_labels_and_films_that_lack_each_other_are_named(tmp_path: Path) -> None:
    """A lost film is not noticed otherwise; a film without a label file counts as unfractured."""
    make_yolo(tmp_path)
    first, second = sorted((tmp_path / "images").rglob("*.png"))[:2]
    first.unlink()
    (tmp_path / "labels/train" / f"{second.stem}.txt").unlink()
    found = problems(tmp_path)
    assert first.stem in found[ProblemKind.NO_FILM][0].where
    assert second.stem in found[ProblemKind.NO_LABEL][0].where


def test_a_film_that_no_annotation_names_is_named(tmp_path: Path) -> None:
    """In COCO a film without an entry is not unfractured, it is unknown."""
    make_coco(tmp_path)
    draw(tmp_path / "images/extra.png", 77)
    assert problems(tmp_path)[ProblemKind.NO_LABEL][0].where == "images/extra.png"


def test_annotations_of_a_turned_film_leave_it_out(tmp_path: Path) -> None:
    """Their boxes would lie elsewhere; a film that was only scaled stays."""
    make_coco(tmp_path)
    draw(tmp_path / "images/00.png", 50, rows=48, columns=64)
    draw(tmp_path / "images/01.png", 51, rows=128, columns=96)
    (found,) = problems(tmp_path)[ProblemKind.OTHER_SIZE]
    assert found.where.endswith("00.png")


def test_an_annotation_file_cannot_reach_out_of_its_folder(tmp_path: Path) -> None:
    """A name with ".." is nonsense, not a film."""
    make_coco(tmp_path / "set")
    path = tmp_path / "set/annotations.json"
    path.write_text(path.read_text().replace("00.png", "../../secret.png", 1))
    draw(tmp_path / "secret.png", 1)
    (found,) = problems(tmp_path / "set")[ProblemKind.BAD_LABEL]
    assert "leads out of the data set" in found.detail


def test_copies_within_a_split_and_copies_that_disagree_are_named(tmp_path: Path) -> None:
    """One is a nuisance, the other a wrong label; neither forbids training."""
    make_fracatlas(tmp_path)
    shutil.copy(tmp_path / "images/made_000.jpg", tmp_path / "images/made_001.jpg")
    found = problems(tmp_path)
    assert set(found) == {ProblemKind.SAME_FILE, ProblemKind.CONTRADICTION}
    assert not any(kind.fatal for kind in found)


def test_near_duplicates_across_splits_are_named(tmp_path: Path) -> None:
    """A film coded and scaled anew in val is the film in train; other films are not."""
    from dicom_node.operating.near_duplicates import fingerprint

    make_folder(tmp_path)
    film = next((tmp_path / "train/normal").glob("*.png"))
    other = next((tmp_path / "val/normal").glob("*.png"))
    larger = cv2.resize(cv2.imread(str(film)), (72, 96), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(other), larger)
    listing = list_dataset(tmp_path, layout=None, said=lambda _: None)
    found = examine(listing, fingerprint=fingerprint).problems
    assert [problem.kind for problem in found] == [ProblemKind.NEAR_DUPLICATE]
    assert film.name in found[0].where
    assert other.name in found[0].detail


def test_a_thumbnails_end_does_not_pass_for_the_films(tmp_path: Path) -> None:
    """A camera's preview in the header ends like a JPEG; the film behind it may still be cut."""
    film = draw(tmp_path / "film.jpg", 1).read_bytes()
    preview = b"\xff\xe1" + (len(film) + 2).to_bytes(2, "big") + film
    whole = film[:2] + preview + film[2:]
    pixels = decode(whole)
    assert pixels is not None
    assert np.array_equal(pixels, decode(film))
    assert decode(whole[:-100]) is None


def test_a_report_names_fatal_problems_first_and_not_thousands() -> None:
    """Five names of a kind, then how many more."""
    many = [Problem(ProblemKind.CORRUPT, f"{index}.png") for index in range(9)]
    lines = list(told([*many, Problem(ProblemKind.EMPTY_CLASS, "val", "no fractured film")]))
    assert lines[0].startswith("FATAL: ")
    assert lines[1] == "  val: no fractured film"
    assert lines[2].endswith("(9)")
    assert lines[-1] == "  and 4 more"
    assert len(list(told(many, None))) == 10
