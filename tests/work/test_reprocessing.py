"""Another model reads a film anew: its results take the place of the first model's, and never too soon."""

from __future__ import annotations

import pytest

from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitments import Commitments
from dicom_node.work.job_control import JobControl
from dicom_node.work.job_list import JobList
from pipeline.analysis import Analyzer
from tests.made_model import make_package
from tests.phantoms import phantom
from tests.work.test_moved_images import OLD as STUDY
from tests.work.test_moved_images import compose, deliver, everything
from tests.work.test_retirement import rejected_by, settings_with, stored
from tests.work.test_workers import OUTCOMES, spool

from .conftest import Workplace


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analyzer, Analyzer]:
    """Two versions of a tiny model."""
    folder = tmp_path_factory.mktemp("models")
    made = [make_package(folder / str(seed), version=f"0.0.{seed}", seed=seed) for seed in (1, 2)]
    first, second = (Analyzer.open(package, threads=1) for package in made)
    return first, second


def commit(place: Workplace) -> None:
    """The archive takes responsibility for what was delivered."""
    commitments = Commitments(place.ledger, place.deliveries)
    at = place.now.timestamp()
    request = commitments.claim("archive", 24, f"2.25.{int(at)}", at)
    assert request is not None
    kept = CommitmentAnswer(request.transaction_uid, frozenset(uid for _, uid in request.instances))
    assert commitments.answer(kept, {"archive"}, at)


@pytest.mark.parametrize("committing", [False, True], ids=["storing", "committing"])
def test_the_first_models_results_are_retired_once_the_seconds_are_kept(
    workplace: Workplace, models: tuple[Analyzer, Analyzer], committing: bool
) -> None:
    """`jobs retry --read-again`: overlay and report in one note, when their successors are stored, or committed."""
    settings = settings_with(
        workplace, rejection_note=True, storage_commitment=committing, objects=["sr", "sc"],
        overlay_for=OUTCOMES,
    )  # fmt: skip
    spool(workplace, "film", phantom())
    for turn, analyzer in enumerate(models):
        if turn:
            old = {one.sop_instance_uid for one in everything(workplace, STUDY)}
            control = JobControl(workplace.ledger, workplace.engine)
            assert control.retry(f"{'film':0>64}", workplace.now, read_again=True) == "read again"
        workplace.analysis_worker(settings, analyzer).analyse(f"{'film':0>64}")
        compose(workplace, settings)
        assert workplace.retirement(settings).sweep() == 0
        deliver(workplace)
        if committing:
            assert workplace.retirement(settings).sweep() == 0
            commit(workplace)
    (line,) = JobList(workplace.ledger).images(5)
    assert line.findings is not None
    assert line.findings.model.digest == models[1].identity.digest != models[0].identity.digest
    retirement = workplace.retirement(settings)
    assert [retirement.sweep(), retirement.sweep()] == [1, 0]
    assert len(old) == 2
    (note,) = [one for one in everything(workplace, STUDY) if one.kind == "rejection"]
    assert rejected_by(stored(workplace, note.sop_instance_uid)) == old
