"""Every layout becomes the same films: classes, parts, types, boxes, patients and splits are read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.training.datasets.grouping import Grouping, divide
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.layouts import LAYOUTS, Dataset, find_layout, read_dataset
from pipeline.training.datasets.problems import DatasetError, ProblemKind
from pipeline.training.datasets.published_fracatlas import Numbered, blocks
from tests.made_datasets import (
    AS_SHARES,
    BOX,
    COLUMNS,
    ROWS,
    draw,
    make_coco,
    make_folder,
    make_mura,
    make_published_fracatlas,
    make_yolo,
)
from tests.made_films import make_fracatlas

MAKERS = {
    "fracatlas": make_fracatlas,
    "fracatlas-published": make_published_fracatlas,
    "folder": make_folder,
    "coco": make_coco,
    "yolo": make_yolo,
    "mura": make_mura,
}
BY_PREFIX = Grouping(r"^(p\d+)_")


def read(folder: Path, **given: object) -> Dataset:
    """With films as large as they are stored."""
    grouping = given.pop("grouping", None)
    assert grouping is None or isinstance(grouping, Grouping)
    return read_dataset(folder, layout=None, film_side=800, said=lambda _: None, grouping=grouping)


def test_every_layout_has_a_made_set() -> None:
    """A layout without one would go untested."""
    assert set(MAKERS) == set(LAYOUTS)


@pytest.mark.parametrize("layout", MAKERS)
def test_a_layout_is_found_by_its_files_and_read(tmp_path: Path, layout: str) -> None:
    """Both classes in train and val, no patient in two splits, the names as many as the labels."""
    MAKERS[layout](tmp_path)
    assert find_layout(tmp_path) == layout
    read_set = read(tmp_path, grouping=BY_PREFIX if layout == "yolo" else None)
    assert read_set.layout == layout
    for split in ("train", "val"):
        assert {film.fractured for film in read_set.films if film.split == split} == {True, False}
    splits: dict[str, set[str]] = {}
    for film in read_set.films:
        splits.setdefault(film.cluster, set()).add(film.split)
        assert len(film.parts) == len(read_set.part_names)
        assert len(film.types) == len(read_set.type_names)
    assert len(splits) > 1
    assert all(len(found) == 1 for found in splits.values())


def test_a_folder_that_fits_no_layout_is_refused(tmp_path: Path) -> None:
    """The layouts are named."""
    with pytest.raises(DatasetError, match=r"fits none of the layouts fracatlas, .*folder"):
        find_layout(tmp_path)


def test_a_folder_that_fits_two_layouts_asks_which(tmp_path: Path) -> None:
    """An export in two formats; `--layout` chooses."""
    make_yolo(make_coco(tmp_path))
    with pytest.raises(DatasetError, match=r"fits the layouts coco, yolo; say which with --layout"):
        find_layout(tmp_path)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    """With the names that there are."""
    with pytest.raises(DatasetError, match=r"--layout voc: there is fracatlas"):
        read_dataset(tmp_path, layout="voc", film_side=64)


@pytest.mark.parametrize("layout", ["coco", "yolo"])
def test_boxes_arrive_in_the_films_own_pixels(tmp_path: Path, layout: str) -> None:
    """Pixels of a COCO file and shares of a YOLO file are the same box."""
    MAKERS[layout](tmp_path)
    x, y, width, height = BOX
    for film in read(tmp_path, grouping=BY_PREFIX).films if layout == "yolo" else read(tmp_path).films:
        assert film.grey.shape == (ROWS, COLUMNS)
        assert len(film.boxes) == int(film.fractured)
        for box in film.boxes:
            assert box == pytest.approx((x, y, x + width, y + height), abs=1e-3)


def test_fracatlas_gives_view_and_body_part(tmp_path: Path) -> None:
    """The columns of labels.csv."""
    films = read(make_fracatlas(tmp_path)).films
    assert {film.view for film in films} == {"frontal", "lateral"}
    assert {film.parts.index(True) for film in films} == {0, 1, 2, 3}


def test_a_set_without_parts_has_one_part_that_every_film_shows(tmp_path: Path) -> None:
    """So that the part head has something to learn."""
    read_set = read(make_coco(tmp_path))
    assert read_set.part_names == ("unknown",)
    assert {film.parts for film in read_set.films} == {(True,)}


def test_several_fracture_classes_make_types_and_a_general_one_makes_none(tmp_path: Path) -> None:
    """ "fractured" beside "oblique" and "spiral" says that there is a fracture, not which."""
    make_folder(tmp_path, ("no fracture", "fractured", "oblique", "spiral"), part="wrist")
    read_set = read(tmp_path)
    assert read_set.type_names == ("oblique", "spiral")
    assert read_set.part_names == ("wrist",)
    seen = {film.id.split("/")[2]: (film.fractured, film.types) for film in read_set.films}
    assert seen == {
        "no fracture": (False, (False, False)),
        "fractured": (True, (False, False)),
        "oblique": (True, (True, False)),
        "spiral": (True, (False, True)),
    }


def test_a_mask_beside_a_film_becomes_boxes_and_polygons(tmp_path: Path) -> None:
    """One box for each piece, in half-open pixels."""
    make_folder(tmp_path)
    film = next((tmp_path / "train/fractured").glob("*.png"))
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[10:20, 5:15] = mask[40:44, 30:42] = 255
    (film.parent / "masks").mkdir()
    cv2.imwrite(str(film.parent / "masks" / film.name), mask)
    read_film = next(one for one in read(tmp_path).films if one.id.endswith(film.name))
    assert sorted(read_film.boxes) == [
        pytest.approx((5, 10, 15, 20), abs=1e-3),
        pytest.approx((30, 40, 42, 44), abs=1e-3),
    ]
    assert len(read_film.polygons) == 2
    assert len(read(tmp_path).films) == 16, "a mask is no film"


def test_patients_come_from_a_table(tmp_path: Path) -> None:
    """patients.csv goes before the file names."""
    make_folder(tmp_path)
    films = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    lines = [f"{name},{name.split('/')[0]}-{name.split('/')[1]}" for name in films]
    (tmp_path / "patients.csv").write_text("\n".join(["file,patient", *lines]))
    assert {film.cluster for film in read(tmp_path).films} == {
        "train-normal", "train-fractured", "val-normal", "val-fractured",
    }  # fmt: skip


def test_a_film_that_the_table_of_patients_forgets_is_fatal(tmp_path: Path) -> None:
    """It could be in train and val unseen."""
    make_folder(tmp_path)
    first, *rest = sorted(path.name for path in tmp_path.rglob("*.png"))
    lines = [f"{name},{name.split('_')[0]}" for name in rest]
    (tmp_path / "patients.csv").write_text("\n".join(["file,patient", *lines]))
    with pytest.raises(DatasetError, match=f"no patient is found for {first}"):
        read(tmp_path)


def test_yolo_without_patients_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """Nothing is ever split by chance."""
    make_yolo(tmp_path)
    with pytest.raises(DatasetError, match=r"--group-by REGEX .* or --each-film-alone"):
        read(tmp_path)


def test_each_film_alone_is_said_loudly(tmp_path: Path) -> None:
    """The problem names how many films."""
    make_yolo(tmp_path)
    said: list[str] = []
    alone = Grouping(each_film_alone=True)
    read_set = read_dataset(tmp_path, layout=None, film_side=64, said=said.append, grouping=alone)
    assert len({film.cluster for film in read_set.films}) == 16
    assert ProblemKind.EACH_ALONE in {problem.kind for problem in read_set.problems}
    assert any("16 films are each taken for a patient of their own" in line for line in said)


@pytest.mark.parametrize(("by", "alone"), [("(", False), ("x", True)])
def test_a_grouping_that_means_nothing_is_refused(by: str, alone: bool) -> None:
    """A broken expression, or two ways at once."""
    with pytest.raises(DatasetError, match=r"--group-by"):
        Grouping(by, alone)


def test_yolo_names_come_from_yaml_too_and_outlines_are_polygons(tmp_path: Path) -> None:
    """`data.yaml`, and a line of more than four values."""
    make_yolo(tmp_path, "data.yaml")
    label = next(path for path in sorted(tmp_path.rglob("*.txt")) if path.stat().st_size)
    label.write_text("0 0.25 0.25 0.75 0.25 0.75 0.375\n")
    film = next(
        one for one in read(tmp_path, grouping=BY_PREFIX).films if Path(one.id).stem == label.stem
    )
    assert len(film.polygons) == 1
    shares = [edge * size for edge, size in zip(AS_SHARES, (COLUMNS, ROWS) * 2, strict=True)]
    assert film.boxes == (pytest.approx(tuple(shares), abs=1e-3),)


def test_coco_categories_make_types_and_unused_parents_none(tmp_path: Path) -> None:
    """Exports begin with an empty parent category."""
    assert read(make_coco(tmp_path, ("oblique", "spiral"))).type_names == ("oblique", "spiral")


def test_a_split_of_each_coco_file_is_kept(tmp_path: Path) -> None:
    """As Roboflow exports it: films beside `_annotations.coco.json`; "valid" is val."""
    for number, split in enumerate(("train", "valid")):
        made = make_coco(tmp_path / "made" / split)
        (made / "images").rename(tmp_path / split)
        given = json.loads((made / "annotations.json").read_text())
        for image in given["images"]:
            image["patient"] += split
            draw(tmp_path / split / image["file_name"], 100 * number + image["id"])
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(given))
    (tmp_path / "made/train/annotations.json").unlink()
    (tmp_path / "made/valid/annotations.json").unlink()
    films = read(tmp_path).films
    assert {(film.id.split("/")[0], film.split) for film in films} == {
        ("train", "train"),
        ("valid", "val"),
    }


def test_run_length_masks_are_read_through_pycocotools(tmp_path: Path) -> None:
    """And without it the error says what to install."""
    masks = pytest.importorskip("pycocotools.mask")
    make_coco(tmp_path)
    path = tmp_path / "annotations.json"
    given = json.loads(path.read_text())
    mask = np.zeros((ROWS, COLUMNS), np.uint8, order="F")
    mask[10:20, 5:15] = 1
    coded = masks.encode(mask)
    coded["counts"] = coded["counts"].decode()
    given["annotations"][0]["segmentation"] = coded
    path.write_text(json.dumps(given))
    film = next(one for one in read(tmp_path).films if one.polygons)
    assert film.polygons[0].min(0).tolist() == pytest.approx([5, 10], abs=1)
    assert film.polygons[0].max(0).tolist() == pytest.approx([15, 20], abs=1)


def test_run_length_masks_without_pycocotools_name_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes and outlines need no library; these masks do."""
    make_coco(tmp_path)
    path = tmp_path / "annotations.json"
    given = json.loads(path.read_text())
    given["annotations"][0]["segmentation"] = {"counts": "0", "size": [ROWS, COLUMNS]}
    path.write_text(json.dumps(given))
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.mask", None)
    with pytest.raises(DatasetError, match=r"not installed: pip install"):
        read(tmp_path)


def test_mura_says_that_its_label_is_no_fracture(tmp_path: Path) -> None:
    """Abnormal is more than fractured; parts and patients are those of the folders."""
    read_set = read(make_mura(tmp_path))
    assert ProblemKind.NOT_FRACTURES in {problem.kind for problem in read_set.problems}
    assert read_set.part_names == ("elbow", "wrist")
    assert len({film.cluster for film in read_set.films}) == 8
    assert len(read_set.films) == 8, "what a Mac leaves is no film"


def listed(clusters: int) -> Listing:
    """Two films of each cluster, every third cluster fractured."""
    files = [
        LabelledFile(f"{index}", Path(f"{index}.png"), index // 2 % 3 == 0, cluster=f"C{index // 2}")
        for index in range(clusters * 2)
    ]
    return Listing("made", tuple(files))


def test_a_missing_split_is_made_of_whole_clusters_and_does_not_hang_on_their_order() -> None:
    """About one in seven, both classes in each, the same films whatever order they are listed in."""
    listing = listed(60)
    divided = divide(listing, lambda _: None).files
    val = {file.id for file in divided if file.split == "val"}
    turned = Listing("made", listing.files[::-1])
    assert val == {file.id for file in divide(turned, lambda _: None).files if file.split == "val"}
    assert len(val) == 18
    assert {file.cluster for file in divided if file.split == "val"}.isdisjoint(
        file.cluster for file in divided if file.split == "train"
    )
    for split in ("train", "val"):
        assert {file.fractured for file in divided if file.split == split} == {True, False}


def test_neighbouring_file_numbers_make_one_cluster() -> None:
    """Twenty at least; then the next break in numbers or body part ends it, and forty at most."""
    steady = [Numbered(index, ("hand",)) for index in range(50)]
    assert [blocks(steady).count(name) for name in ("B0000", "B0001")] == [40, 10]
    broken = [Numbered(index if index < 27 else index + 5, ("hand",)) for index in range(30)]
    assert [blocks(broken).count(name) for name in ("B0000", "B0001")] == [27, 3]
    early = [Numbered(index if index < 7 else index + 5, ("hand",)) for index in range(12)]
    assert set(blocks(early)) == {"B0000"}


def test_rehearsing_takes_fewer_films(tmp_path: Path) -> None:
    """`limit` spreads over the whole set."""
    make_fracatlas(tmp_path)
    films = read_dataset(tmp_path, layout=None, film_side=64, limit=16, said=lambda _: None).films
    assert len(films) == 16
