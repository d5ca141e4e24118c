"""Each command teaches, answers, and ends with the status that it promises."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from dicom_node.operating.small_archive import SmallArchive
from tests.node.running_node import DICOM_NODE
from tests.phantoms import phantom
from tests.receiving.running_scp import free_port

KEYS = {
    "path", "outcome", "reason", "note", "fracture_probability", "body_part", "body_part_probability", "regions",
    "thresholds", "model", "digest", "profile",
}  # fmt: skip


def run(*arguments: object) -> Result:
    """A command in this process, its table as wide as it likes."""
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "300"})


def run_demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The demo, in a process of its own as it starts others."""
    command = [DICOM_NODE, "demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a DICOM film, a PNG and a JPEG of it, and something that is no film."""
    folder = tmp_path_factory.mktemp("films")
    ds = phantom(rows=512, columns=416)
    ds.save_as(folder / "film.dcm", enforce_file_format=True)
    grey = (ds.pixel_array // 16).astype(np.uint8)
    Image.fromarray(grey).save(folder / "film.png")
    Image.fromarray(grey).save(folder / "film.jpg")
    (folder / "notes.txt").write_text("not a film")
    return folder


def test_predict_reads_dicom_png_and_jpeg(films: Path) -> None:
    """One JSON object a line with the promised keys; 0 when every file was read; nothing else in a pipe."""
    done = run("predict", "--json", films)
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(answer["path"]).name for answer in answers] == ["film.dcm", "film.jpg", "film.png"]
    for answer in answers:
        assert set(answer) == KEYS
        assert answer["outcome"] in ("fracture", "doubt", "no fracture")
        assert answer["reason"] is None
        assert 0 <= answer["fracture_probability"] <= 1
        assert answer["thresholds"]["doubt"] <= answer["thresholds"]["fracture"]
        assert len(answer["digest"]) == 64
        probabilities = [region["probability"] for region in answer["regions"]]
        assert probabilities == sorted(probabilities, reverse=True)
        for region in answer["regions"]:
            x0, y0, x1, y1 = region["box"]
            assert 0 <= x0 < x1 <= 416
            assert 0 <= y0 < y1 <= 512


def test_predict_says_of_each_unread_file_why(films: Path) -> None:
    """A file that is named is answered for, also when it is no film; then the status is 1."""
    done = run("predict", "--json", films / "film.dcm", films / "notes.txt")
    assert done.exit_code == 1
    read, unread = (json.loads(line) for line in done.stdout.splitlines())
    assert read["reason"] is None
    assert unread["outcome"] == "not processed"
    assert unread["reason"].startswith("FN-106")
    assert unread["fracture_probability"] is None
    assert unread["regions"] == []


def test_predict_draws_overlays(films: Path, tmp_path: Path) -> None:
    """A picture for each film; two of one name do not write over each other."""
    done = run("predict", films, "--overlay", tmp_path / "pictures")
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["film_overlay.png", "film_overlay_2.png", "film_overlay_3.png"]
    assert "not a medical device" in done.stdout.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "nowhere.dcm"],
        ["serve"],
        ["jobs", "show"],
        ["echo", "NOBODY"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """And says what is wrong."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.output


def test_predict_of_a_folder_without_films_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing to read is said, not passed over."""
    done = run("predict", tmp_path)
    assert done.exit_code == 2
    assert "no DICOM, PNG or JPEG file" in done.output


def settings_file(folder: Path, port: int, archive_port: int) -> Path:
    path = folder / "node.toml"
    path.write_text(
        f'[node]\nport = {port}\n[retention]\nminimum_free_gb = 0.01\n[[destinations]]\nname = "archive"\n'
        f'ae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {archive_port}\ntimeout_seconds = 5\n'
    )
    return path


def test_check_passes_when_all_is_well(tmp_path: Path) -> None:
    """Settings, disk, model with its golden answer, port and destination, each on a line."""
    with SmallArchive(tmp_path / "archive") as archive:
        done = run("check", "--config", settings_file(tmp_path, free_port(), archive.port))
    assert done.exit_code == 0, done.output
    for word in (
        "settings",
        "disk",
        "golden answer given",
        "is free",
        "destination archive",
        "answers in",
        "will arrive: sr as Comprehensive 3D SR Storage, sc",
    ):
        assert word in done.output


def test_check_fails_when_a_destination_is_down(tmp_path: Path) -> None:
    """Status 1, the destination named, and why."""
    done = run("check", "--config", settings_file(tmp_path, free_port(), free_port()))
    assert done.exit_code == 1
    assert "destination archive" in done.output
    assert "failed" in done.output
    assert "refused" in done.output


def test_check_fails_when_an_archive_does_not_take_what_it_is_to_get(tmp_path: Path) -> None:
    """Status 1, the class named, and what to change; the archive gets nothing by it."""
    with SmallArchive(tmp_path / "archive") as archive:
        config = settings_file(tmp_path, free_port(), archive.port)
        config.write_text(config.read_text() + 'objects = ["sc", "seg"]\n')
        done = run("check", "--config", config)
        assert archive.arrivals == ()
    assert done.exit_code == 1
    assert "does not accept Segmentation Storage" in done.output
    assert 'leave "seg" out of objects of destination archive' in done.output


def test_check_names_a_wrong_key(tmp_path: Path) -> None:
    """Status 2 and the remedy."""
    path = tmp_path / "node.toml"
    path.write_text("[node]\nprot = 1\n")
    done = run("check", "--config", path)
    assert done.exit_code == 2
    assert "node.prot = 1: no such key" in done.output


def test_echo_answers_and_fails(tmp_path: Path) -> None:
    """By address and by the settings' name."""
    with SmallArchive(tmp_path / "archive") as archive:
        config = settings_file(tmp_path, free_port(), archive.port)
        assert run("echo", f"ARCHIVE@127.0.0.1:{archive.port}").exit_code == 0
        assert run("echo", "archive", "--config", config).exit_code == 0
        wrong = run("echo", f"WRONG@127.0.0.1:{archive.port}")
    assert wrong.exit_code == 1
    assert "called AE title" in wrong.output.replace("Called", "called")
    assert run("echo", "archive", "--config", config).exit_code == 1


def test_send_stores_files(films: Path, tmp_path: Path) -> None:
    """Each file is taken; what is no DICOM file is named and the status is 1."""
    with SmallArchive(tmp_path / "archive") as archive:
        target = f"ARCHIVE@127.0.0.1:{archive.port}"
        assert run("send", target, films / "film.dcm").exit_code == 0
        mixed = run("send", target, films / "film.dcm", films / "notes.txt")
    assert mixed.exit_code == 1
    assert "notes.txt" in mixed.output
    assert "1 of 2 taken" in mixed.output


def test_config_init_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    """A settings file is never written over."""
    path = tmp_path / "node.toml"
    assert run("config", "init", path).exit_code == 0
    written = path.read_text()
    again = run("config", "init", path)
    assert again.exit_code == 1
    assert "left alone" in again.output
    assert path.read_text() == written


def test_jobs_before_the_first_start_says_so(tmp_path: Path) -> None:
    """No ledger is no traceback."""
    done = run("jobs", "list", "--config", settings_file(tmp_path, 1, 1))
    assert done.exit_code == 1
    assert "dicom-node serve" in done.output


def test_model_verify_names_what_is_damaged(tmp_path: Path) -> None:
    """A folder that is no package is refused with the file that is missing."""
    assert run("model", "verify").exit_code == 0
    done = run("model", "verify", tmp_path)
    assert done.exit_code == 1
    assert "model.toml" in done.output


def test_the_demo_leaves_other_folders_alone(tmp_path: Path) -> None:
    """A folder with somebody's files is refused, and they stay."""
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run_demo("--out", tmp_path).returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_demo_takes_real_films(films: Path, tmp_path: Path) -> None:
    """PNG and JPEG are wrapped as DX, DICOM goes as it is; each has one outcome, nothing is called synthetic."""
    named = ["--images", films / "film.dcm", "--images", films / "film.png"]
    done = run_demo(*named, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*_sc.png"))) == 2
    assert len(list((tmp_path / "out").glob("*_sr.dcm"))) == 2
    assert "synthetic" not in done.stdout
