"""A site's own calibration and thresholds: fitted on its films, for one package, beside it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.operating.doctor import examine
from dicom_node.operating.examined import Verdict
from dicom_node.settings import read_settings
from pipeline.analysis import Analyzer
from pipeline.errors import ModelPackageError
from pipeline.evaluation.evaluating import recorded_folds
from pipeline.findings import NotProcessed, dump_findings
from pipeline.model_description import Calibration
from pipeline.model_package import load_package
from pipeline.operating_points import probabilities
from pipeline.radiograph import Radiograph
from pipeline.site_calibration import CalibrationError, ReadFilms, calibrate
from pipeline.site_profile import SiteProfile, read_site_profile
from tests.made_films import make_fracatlas
from tests.made_model import make_package
from tests.phantoms import phantom as phantom_film
from tests.results.hand_made import MODEL, POSITIVE, read_back, report


def films_of(count: int, fractured: int, *, seed: int = 1) -> ReadFilms:
    """Logits of films whose labels they half know; two neighbours are one patient."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) < fractured
    logits = chance.normal(0, 2, count) + 2.5 * labels
    return ReadFilms(logits, labels, tuple(str(index // 2) for index in range(count)), 0)


def written(path: Path, profile: SiteProfile) -> Path:
    """The profile as a file."""
    path.write_text(tomlkit.dumps(profile.model_dump(mode="json")), encoding="utf-8")
    return path


@pytest.fixture
def profile(package_folder: Path, tmp_path: Path) -> Path:
    """A profile for the tiny package."""
    return written(tmp_path / "site.toml", calibrate(load_package(package_folder), films_of(200, 60)))


def test_a_profile_keeps_what_it_promises_on_its_films(package_folder: Path) -> None:
    """Sensitivity 0.90 at doubt, specificity 0.90 at fracture, each within its interval; figures are the films'."""
    films = films_of(400, 120)
    made = calibrate(load_package(package_folder), films, draws=200)
    chances = probabilities(films.logits, made.calibration)
    doubt = float((chances[films.labels] >= made.thresholds.doubt).mean())
    fracture = float((chances[~films.labels] < made.thresholds.fracture).mean())
    assert doubt >= 0.9
    assert fracture >= 0.9
    fitted = made.fitted_on
    assert (fitted.films, fitted.fractured, fitted.clusters) == (400, 120, 200)
    assert fitted.sensitivity_at_doubt[0] == pytest.approx(doubt, abs=1e-4)
    assert fitted.specificity_at_fracture[0] == pytest.approx(fracture, abs=1e-4)
    for value, low, high in (fitted.auc, fitted.sensitivity_at_doubt, fitted.specificity_at_fracture):
        assert 0 <= low <= value <= high <= 1
        assert low < high


def test_a_profile_s_probabilities_fit_the_site(package_folder: Path) -> None:
    """Where fractures are rarer than in training, they come out rarer."""
    package = load_package(package_folder)
    films = films_of(2000, 100)
    made = calibrate(package, films, draws=100)
    said = probabilities(films.logits, made.calibration)
    assert float(said.mean()) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("count", "fractured"), [(49, 20), (200, 14), (60, 46), (0, 0)])
def test_too_few_films_make_no_profile(package_folder: Path, count: int, fractured: int) -> None:
    """The error says how many there are and how many it takes."""
    with pytest.raises(
        CalibrationError, match=rf"{count} films can be used, {fractured} with.*50 and 15"
    ):
        calibrate(load_package(package_folder), films_of(count, fractured))


def test_an_analyzer_reads_by_the_profile(
    package_folder: Path, profile: Path, phantom: Radiograph
) -> None:
    """Its thresholds and its calibration; the logit behind them is the package's."""
    made, digest = read_site_profile(profile)
    own = Analyzer.open(package_folder, threads=1).analyze(phantom)
    site = Analyzer.open(package_folder, threads=1, profile=profile).analyze(phantom)
    assert own.fracture_probability is not None
    assert site.thresholds == made.thresholds.thresholds()
    calibration: Calibration = load_package(package_folder).description.fracture.calibration
    odds = np.log(own.fracture_probability / (1 - own.fracture_probability))
    logit = odds * calibration.temperature - calibration.offset
    assert site.fracture_probability == pytest.approx(
        made.calibration.probability(float(logit)), abs=1e-6
    )
    assert site.model.digest == own.model.digest
    assert site.model.profile == digest == hashlib.sha256(profile.read_bytes()).hexdigest()


def test_two_profiles_with_the_same_thresholds_make_two_results(
    package_folder: Path, profile: Path, tmp_path: Path, phantom: Radiograph
) -> None:
    """The profile's digest is part of what the results' UIDs are made of."""
    made, _ = read_site_profile(profile)
    fitted = made.fitted_on.model_copy(update={"films": made.fitted_on.films + 1})
    other = written(tmp_path / "other.toml", made.model_copy(update={"fitted_on": fitted}))
    first, second = (
        Analyzer.open(package_folder, threads=1, profile=path).analyze(phantom)
        for path in (profile, other)
    )
    assert dump_findings(first) != dump_findings(second)
    assert replace(first, model=second.model) == second


def test_the_report_names_the_profile_and_has_another_uid() -> None:
    """In the algorithm's parameters and in the contributing equipment; without a profile nothing is said."""
    read_by = replace(MODEL, profile="b" * 64)
    own, site = (
        report([(phantom_film(), replace(POSITIVE, model=model))]) for model in (MODEL, read_by)
    )
    assert own.sop_instance_uid != site.sop_instance_uid
    assert b"ite profile" not in own.data
    ds = read_back(site)
    assert f"Site profile {'b' * 64}" in ds.ContributingEquipmentSequence[0].ContributionDescription
    assert site.data.count(f"site profile {'b' * 64}".encode()) > 1


def test_the_settings_thresholds_go_before_the_profile_s(package_folder: Path, profile: Path) -> None:
    """One of them, or both."""
    points = read_site_profile(profile)[0].thresholds
    high = Analyzer.open(package_folder, threads=1, profile=profile, fracture_threshold=0.9999)
    assert (high.thresholds.fracture, high.thresholds.doubt) == (0.9999, points.doubt)
    both = Analyzer.open(
        package_folder, threads=1, profile=profile, fracture_threshold=0.7, doubt_threshold=0.3
    )
    assert (both.thresholds.fracture, both.thresholds.doubt) == (0.7, 0.3)


def test_a_profile_of_another_package_is_refused_by_name(profile: Path, tmp_path: Path) -> None:
    """Thresholds of one model mean nothing for another."""
    other = make_package(tmp_path, name="other-net", version="0.0.3", seed=7)
    with pytest.raises(ModelPackageError, match=r"site.toml: made for tiny-net 0.0.1.*other-net 0.0.3"):
        Analyzer.open(other, threads=1, profile=profile)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda toml: toml["thresholds"].update(doubt=0.999), "thresholds"),
        (lambda toml: toml["calibration"].update(temperature=0), "calibration.temperature"),
        (lambda toml: toml.update(surprise=1), "surprise"),
        (lambda toml: toml.pop("package_digest"), "package_digest"),
    ],
)
def test_a_profile_that_is_none_is_refused_by_its_key(
    profile: Path, change: Callable[[Any], object], words: str
) -> None:
    """File, key and remedy."""
    toml = tomlkit.parse(profile.read_text())
    change(toml)
    profile.write_text(tomlkit.dumps(toml))
    with pytest.raises(ModelPackageError, match=rf"site.toml.*{words}.*model calibrate"):
        read_site_profile(profile)


def test_a_profile_that_is_not_there_is_said(tmp_path: Path) -> None:
    """At the start, not at the first film."""
    with pytest.raises(ModelPackageError, match=r"none.toml: no such site profile"):
        read_site_profile(tmp_path / "none.toml")


def test_the_command_writes_a_profile_that_the_node_uses(package_folder: Path, tmp_path: Path) -> None:
    """From a folder of films to a checked node; the package keeps every byte; a second run writes over nothing."""
    before = {path: path.read_bytes() for path in package_folder.rglob("*") if path.is_file()}
    films, profile = make_fracatlas(tmp_path / "films", films=60), tmp_path / "made" / "site.toml"
    arguments = ["model", "calibrate", "--data", str(films), "--model", str(package_folder)]
    done = CliRunner().invoke(app, [*arguments, "--out", str(profile), "--draws", "100"])
    assert done.exit_code == 0, done.output
    assert "60 films (20 with a fracture" in " ".join(done.output.split())
    assert tomllib.loads(profile.read_text())["package_digest"] == load_package(package_folder).digest
    assert {path: path.read_bytes() for path in package_folder.rglob("*") if path.is_file()} == before
    again = CliRunner().invoke(app, [*arguments, "--out", str(profile)])
    assert again.exit_code == 2
    assert "is there already" in " ".join(again.output.split())
    node = tmp_path / "node.toml"
    node.write_text(
        f'[model]\npath = "{package_folder}"\nprofile = "made/site.toml"\nthreads = 1\n[[destinations]]\n'
        'name = "archive"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = 1\n'
    )
    line = next(one for one in examine(read_settings(node)) if one.what == "model")
    assert line.verdict is Verdict.GOOD
    digest = hashlib.sha256(profile.read_bytes()).hexdigest()
    assert f"site profile {digest[:12]}" in line.said


def calibrated(package: Path, films: Path, profile: Path) -> str:
    """What the command says, on one line."""
    words = [
        "model",
        "calibrate",
        "--data",
        films,
        "--model",
        package,
        "--out",
        profile,
        "--draws",
        100,
    ]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert profile.is_file()
    return " ".join(done.output.split())


def test_films_that_the_package_knows_by_their_ids_are_warned_of(
    package_folder: Path, tmp_path: Path
) -> None:
    """How many of how many, the first of them; the profile is written all the same, and new films pass in silence."""
    films = make_fracatlas(tmp_path / "films", films=60)
    known = set(recorded_folds(package_folder)) & {f"made_{index:03d}" for index in range(60)}
    assert 0 < len(known) < 60
    said = calibrated(package_folder, films, tmp_path / "known.toml")
    assert f"WARNING: {len(known)} of these 60 films, {min(known)!r} first" in said
    assert "tiny-net 0.0.1 was trained or judged on" in said
    for table in films.iterdir():
        if table.is_file():
            table.write_text(table.read_text().replace("made_", "new_"))
    for film in (films / "images").iterdir():
        film.rename(film.with_name(film.name.replace("made_", "new_")))
    assert "WARNING" not in calibrated(package_folder, films, tmp_path / "new.toml")


def test_the_command_refuses_too_few_films(package_folder: Path, tmp_path: Path) -> None:
    """Status 1, the counts, and no file."""
    films, profile = make_fracatlas(tmp_path / "films", films=30), tmp_path / "site.toml"
    done = CliRunner().invoke(
        app,
        [
            "model",
            "calibrate",
            "--data",
            str(films),
            "--model",
            str(package_folder),
            "--out",
            str(profile),
        ],
    )
    assert done.exit_code == 1
    assert "30 films can be used" in " ".join(done.output.split())
    assert not profile.exists()


def test_predict_takes_profile_and_minimum_age_as_the_node_does(
    package_folder: Path, profile: Path, tmp_path: Path
) -> None:
    """The profile's thresholds and its digest in the answer; a child's film is not read, one without age is, and says so."""
    for name, age in (("child", "009Y"), ("grown", "040Y"), ("unknown", "")):
        ds = phantom_film()
        ds.PatientAge, ds.PatientBirthDate = age, ""
        ds.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    words = ["predict", "--json", tmp_path, "--model", package_folder, "--profile", profile]
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--minimum-age", 18)])
    assert done.exit_code == 1, done.output
    child, grown, unknown = (json.loads(line) for line in done.stdout.splitlines())
    points = read_site_profile(profile)[0].thresholds
    for answer in (child, grown, unknown):
        assert answer["thresholds"] == {"fracture": points.fracture, "doubt": points.doubt}
        assert answer["profile"] == hashlib.sha256(profile.read_bytes()).hexdigest()
    assert child["reason"].startswith(NotProcessed.AGE.value)
    assert (child["fracture_probability"], child["note"]) == (None, None)
    assert (grown["reason"], grown["note"]) == (None, None)
    assert unknown["reason"] is None
    assert "not compared with 18 years" in unknown["note"]
    digest = load_package(package_folder).digest
    profile.write_text(profile.read_text().replace(digest, "0" * 64))
    refused = CliRunner().invoke(app, [str(word) for word in words])
    assert refused.exit_code == 1
    assert "site.toml: made for tiny-net 0.0.1, package 000000000000" in " ".join(
        refused.output.split()
    )
