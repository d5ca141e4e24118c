"""From a file to one outcome, whatever the file is."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.analysis import Analyzer
from pipeline.findings import NotProcessed, Outcome
from pipeline.pixel_conversion import read_radiograph
from pipeline.predict import read_and_analyze, read_film
from tests.phantoms import COLUMNS, LOSSLESS_SYNTAXES, ROWS, encode, phantom


@pytest.fixture(scope="module")
def analyzer(package_folder: Path) -> Analyzer:
    """An analyzer of the tiny package."""
    return Analyzer.open(package_folder, threads=1)


def written(folder: Path, contents: bytes) -> Path:
    """A file of that content, whose name says nothing."""
    path = folder / "film"
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_a_dicom_film_is_read(analyzer: Analyzer, tmp_path: Path, modality: str) -> None:
    """Its matrix is the source's, and the film comes along for the overlay."""
    ds = phantom(modality=modality)
    findings, film = read_film(written(tmp_path, encode(ds, ds.file_meta.TransferSyntaxUID)), analyzer)
    assert (findings.rows, findings.columns) == (ROWS, COLUMNS)
    assert findings.outcome is not Outcome.NOT_PROCESSED
    assert film is not None
    assert film.pixels.shape == (ROWS, COLUMNS)


def test_a_film_reads_the_same_in_every_lossless_transfer_syntax(
    analyzer: Analyzer, tmp_path: Path
) -> None:
    """How an archive packs the pixels changes no finding."""
    readings = {
        read_and_analyze(written(tmp_path, encode(phantom(), syntax)), analyzer)
        for syntax in LOSSLESS_SYNTAXES
    }
    assert len(readings) == 1


def test_an_inverted_film_reads_as_the_film(analyzer: Analyzer) -> None:
    """MONOCHROME1 is a way of storing, not of breaking bones."""
    plain, inverted = (
        analyzer.analyze(read_radiograph(phantom(monochrome1=stored))) for stored in (False, True)
    )
    assert inverted.fracture_probability == pytest.approx(plain.fracture_probability, abs=1e-3)


@pytest.mark.parametrize("suffix", ["png", "jpeg"])
def test_an_image_file_is_read(analyzer: Analyzer, tmp_path: Path, suffix: str) -> None:
    """PNG and JPEG, as published collections have them."""
    grey = (read_radiograph(phantom()).pixels * 255).round().astype("uint8")
    path = tmp_path / f"film.{suffix}"
    Image.fromarray(grey).save(path)
    findings = read_and_analyze(path, analyzer)
    assert (findings.rows, findings.columns) == (ROWS, COLUMNS)
    assert findings.fracture_probability is not None


def test_a_film_out_of_scope_is_not_processed_and_keeps_its_matrix(
    analyzer: Analyzer, tmp_path: Path
) -> None:
    """The header's gate comes before any pixel."""
    ds = phantom()
    ds.BodyPartExamined = "CHEST"
    findings, film = read_film(written(tmp_path, encode(ds, ds.file_meta.TransferSyntaxUID)), analyzer)
    assert film is None
    assert (findings.outcome, findings.reason) == (Outcome.NOT_PROCESSED, NotProcessed.BODY_PART)
    assert (findings.rows, findings.columns) == (ROWS, COLUMNS)
    assert findings.fracture_probability is None


def test_a_file_that_is_no_film_is_not_processed(analyzer: Analyzer, tmp_path: Path) -> None:
    """With its reason, and without a matrix."""
    findings = read_and_analyze(written(tmp_path, b"a letter to the department"), analyzer)
    assert (findings.reason, findings.rows, findings.columns) == (NotProcessed.NOT_AN_IMAGE, 0, 0)


def test_a_film_cut_off_in_its_pixels_is_not_processed(analyzer: Analyzer, tmp_path: Path) -> None:
    """It is never read as far as it goes."""
    ds = phantom()
    whole = encode(ds, ds.file_meta.TransferSyntaxUID)
    findings = read_and_analyze(written(tmp_path, whole[: len(whole) * 2 // 3]), analyzer)
    assert findings.outcome is Outcome.NOT_PROCESSED
    assert findings.reason in (NotProcessed.TRUNCATED, NotProcessed.UNDECODABLE)


def test_a_file_that_cannot_be_opened_is_not_processed(analyzer: Analyzer, tmp_path: Path) -> None:
    """One broken link in a folder of films does not end the reading of the others."""
    findings = read_and_analyze(tmp_path / "nothing", analyzer)
    assert (findings.reason, findings.detail) == (
        NotProcessed.NOT_AN_IMAGE,
        "No such file or directory",
    )


@pytest.mark.parametrize(
    ("age", "reason", "detail"),
    [
        ("009Y", NotProcessed.AGE, "below 18 years"),
        ("018Y", None, ""),
        ("", None, "age not in the header, so not compared with 18 years"),
    ],
)
def test_a_minimum_age_means_what_it_means_in_the_node(
    analyzer: Analyzer, tmp_path: Path, age: str, reason: NotProcessed | None, detail: str
) -> None:
    """A child's film is not read; of an unknown age it is said that nothing was compared."""
    ds = phantom()
    ds.PatientAge, ds.PatientBirthDate = age, ""
    path = written(tmp_path, encode(ds, ds.file_meta.TransferSyntaxUID))
    findings, _ = read_film(path, analyzer, minimum_age_years=18)
    assert (findings.reason, findings.detail) == (reason, detail)
    unlimited, _ = read_film(path, analyzer)
    assert (unlimited.reason, unlimited.detail) == (None, "")


def test_an_image_file_tells_no_age(analyzer: Analyzer, tmp_path: Path) -> None:
    """It is read, and it is said."""
    grey = (read_radiograph(phantom()).pixels * 255).round().astype("uint8")
    Image.fromarray(grey).save(tmp_path / "film.png")
    findings, film = read_film(tmp_path / "film.png", analyzer, minimum_age_years=18)
    assert film is not None
    assert "not compared with 18 years" in findings.detail
