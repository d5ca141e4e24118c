"""Archives that are away, refuse, or take less than we offer: nothing is lost, everything is shown."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import FileDataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    JPEGLosslessSV1,
    SecondaryCaptureImageStorage,
)

from dicom_node.dimse_status import StoreStatus
from dicom_node.operating.small_archive import SmallArchive
from dicom_node.work.job_list import DeliveryLine
from tests.node.archive import Archive
from tests.node.films import film, study_uid, write
from tests.node.report_groups import evidence
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.receiving.running_scp import free_port

pytestmark = pytest.mark.real_part

ENHANCED_ONLY = frozenset({EnhancedSRStorage, SecondaryCaptureImageStorage})


@dataclass
class Place:
    """A small archive on one port that can change its mind: absent, or answering with a status."""

    folder: Path
    name: str
    port: int = field(default_factory=free_port)
    sop_classes: frozenset[str] | None = None
    archive: SmallArchive | None = None

    def answer(self, status: StoreStatus) -> None:
        """Listens from now on and answers every C-STORE so."""
        self.leave()
        classes = {} if self.sop_classes is None else {"sop_classes": self.sop_classes}
        self.archive = SmallArchive(
            self.folder / f"{self.name} {status:04X}",
            ae_title=self.name.upper(), port=self.port, status=status, **classes,
        )  # fmt: skip
        self.archive.start()

    def leave(self) -> None:
        """Listens no more."""
        if self.archive is not None:
            self.archive.stop()
            self.archive = None

    def came(self) -> list[FileDataset]:
        """What it took since it answers as it does now."""
        assert self.archive is not None
        return [dcmread(one.path) for one in self.archive.arrivals]


@dataclass(frozen=True)
class Scene:
    """A node with one sender for each kind of archive: the sender's AE title is the archive's name in capitals."""

    node: RunningNode
    away: Archive
    steady: Archive
    places: dict[str, Place]

    def send(self, path: Path, *archives: str) -> None:
        """A film from each of the senders whose results go to these archives."""
        for name in archives:
            sent = self.node.storescu("-R", path, calling=name.upper())
            assert sent.returncode == 0, sent.stderr

    def wait_for_states(self, study: str, place: str, *states: str) -> list[DeliveryLine]:
        """Until the deliveries of a study to that archive stand so, overlays first."""

        def stand() -> bool:
            return [one.state for one in self.node.deliveries(study_uid(study), place)] == [*states]

        self.node.wait_for(stand)
        return self.node.deliveries(study_uid(study), place)

    def job(self, ds: FileDataset) -> str:
        """The job of a film, as people name it."""
        return self.node.readings(ds.SOPInstanceUID)[0].id[:12]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("archives")
    names = ("busy", "refusing", "warning", "woken", "hurried", "enhanced", "reports", "cancelled")
    places = {name: Place(folder, name) for name in names}
    for name in ("enhanced", "reports"):
        places[name].sop_classes = ENHANCED_ONLY
    away, steady = Archive(folder / "away"), Archive(folder / "steady")
    more: dict[str, dict[str, object]] = {
        "reports": {"objects": ["sr"]},
        # Given up at the second try.
        "hurried": {"objects": ["sc"], "deliver_within_hours": 0.0001},
        "cancelled": {"objects": ["sc"]},
        "woken": {"objects": ["sc"]},
    }
    ports = {name: place.port for name, place in places.items()}
    ports |= {"away": away.port, "steady": steady.port}
    text = settings_text(
        [destination(name, port, **more.get(name, {})) for name, port in ports.items()],
        routes=[
            {"from": [name.upper()], "to": [name, "steady"] if name == "away" else [name]}
            for name in ports
        ],
        peers=[{"ae_title": name.upper(), "hosts": ["127.0.0.1"]} for name in ports],
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(steady)
        stack.callback(away.stop)
        for place in places.values():
            stack.callback(place.leave)
        node = stack.enter_context(running_node(folder / "node", text))
        yield Scene(node, away, steady, places)


def test_results_wait_for_an_archive_that_is_away_and_go_when_it_is_back(
    scene: Scene, tmp_path: Path
) -> None:
    """Another archive is not held up; `jobs` and `check` say what is wrong; nobody has to do anything."""
    ds = film("away")
    scene.send(write(tmp_path, "film", ds), "away")
    scene.node.wait_until_closed(study_uid("away"))
    scene.wait_for_states("away", "steady", "delivered", "delivered")
    assert len(scene.steady.objects(study_uid("away"))) == 2
    for one in scene.wait_for_states("away", "away", "waiting", "waiting"):
        assert "connection refused" in one.detail
        assert one.next_attempt_at is not None
    listed = scene.node.command("jobs", "list", "--state", "waiting").stdout
    assert f"AWAY at 127.0.0.1:{scene.away.port}: connection refused" in listed
    assert "next try" in listed
    checked = scene.node.command("check")
    assert checked.returncode == 1
    (line,) = [line for line in checked.stdout.splitlines() if "destination away" in line]
    assert "failed" in line
    assert "connection refused" in line
    scene.away.start()
    scene.wait_for_states("away", "away", "delivered", "delivered")
    assert {ds.SOPInstanceUID for ds in scene.away.objects(study_uid("away"))} == {
        ds.SOPInstanceUID for ds in scene.steady.objects(study_uid("away"))
    }


def test_an_archive_without_the_preferred_class_gets_the_report_in_one_that_it_takes(
    scene: Scene, tmp_path: Path
) -> None:
    """Known from the overlay's association before the report is composed, or by its refusal: another object then."""
    for name in ("enhanced", "reports"):
        scene.places[name].answer(StoreStatus.SUCCESS)
        scene.send(write(tmp_path, name, film(f"class {name}")), name)
    known = scene.wait_for_states("class enhanced", "enhanced", "delivered", "delivered")
    assert [one.kind for one in known] == ["sc", "sr"]
    first, second = scene.wait_for_states("class reports", "reports", "replaced", "delivered")
    assert first.sop_instance_uid != second.sop_instance_uid
    assert "does not accept Comprehensive 3D SR Storage" in first.detail
    for name in ("enhanced", "reports"):
        (report,) = [one for one in scene.places[name].came() if one.Modality == "SR"]
        assert report.SOPClassUID == EnhancedSRStorage
        assert evidence(report) == {film(f"class {name}").SOPInstanceUID}
    assert second.sop_instance_uid == report.SOPInstanceUID
    study = study_uid("class reports")
    assert scene.node.revisions(study)[0].revision == 1
    assert Comprehensive3DSRStorage not in {one.SOPClassUID for one in scene.places["reports"].came()}


def test_a_warning_is_a_delivery_and_is_shown(scene: Scene, tmp_path: Path) -> None:
    """B000: the archive has the object and changed something; it is not sent again."""
    scene.places["warning"].answer(StoreStatus.COERCED_ELEMENTS)
    ds = film("warned")
    scene.send(write(tmp_path, "film", ds), "warning")
    for one in scene.wait_for_states("warned", "warning", "delivered", "delivered"):
        assert (one.status, one.detail) == (StoreStatus.COERCED_ELEMENTS, "warning, status 0xB000")
        assert one.attempts == 1
    for words in (("jobs", "list"), ("jobs", "show", scene.job(ds))):
        assert "warning, status 0xB000" in scene.node.command(*words).stdout


def test_an_archive_that_says_no_is_tried_again_until_it_says_yes(scene: Scene, tmp_path: Path) -> None:
    """A700 and C000 alike: waiting, the status shown; what it refused before it takes later, as the same object."""
    expected = {"busy": StoreStatus.OUT_OF_RESOURCES, "refusing": StoreStatus.CANNOT_UNDERSTAND}
    for name, status in expected.items():
        scene.places[name].answer(status)
        scene.send(write(tmp_path, name, film(name)), name)
    for name, status in expected.items():
        for one in scene.wait_for_states(name, name, "waiting", "waiting"):
            assert one.status == status
            assert f"status 0x{status:04X}" in one.detail
    listed = scene.node.command("jobs", "list").stdout
    assert "(status 0xA700)" in listed
    assert "(refused, status 0xC000)" in listed
    before = {name: scene.node.deliveries(study_uid(name), name) for name in expected}
    for name in expected:
        scene.places[name].answer(StoreStatus.SUCCESS)
    for name in expected:
        after = scene.wait_for_states(name, name, "delivered", "delivered")
        assert [one.sop_instance_uid for one in after] == [one.sop_instance_uid for one in before[name]]
        assert all(one.attempts >= 2 for one in after)


def test_the_same_film_again_wakes_what_was_not_delivered(scene: Scene, tmp_path: Path) -> None:
    """A sender that asks again, here in another transfer syntax, gets the waiting result now, not a new one."""
    place, ds = scene.places["woken"], film("woken")
    place.answer(StoreStatus.OUT_OF_RESOURCES)
    scene.send(write(tmp_path, "film", ds), "woken")

    def due() -> list[datetime]:
        """When what waits is tried again by itself, if that is long enough from now."""
        lines = scene.node.deliveries(study_uid("woken"), "woken")
        times = [one.next_attempt_at for one in lines if one.next_attempt_at is not None]
        return [at for at in times if at > datetime.now(UTC) + timedelta(seconds=8)]

    scene.node.wait_for(lambda: len(due()) == 1)
    (by_itself,) = due()
    place.answer(StoreStatus.SUCCESS)
    sent = scene.node.storescu(
        "-R", "-xs", write(tmp_path, "compressed", ds, JPEGLosslessSV1), calling="WOKEN"
    )
    assert sent.returncode == 0, sent.stderr
    scene.wait_for_states("woken", "woken", "delivered")
    assert datetime.now(UTC) < by_itself
    first, second = scene.node.readings(ds.SOPInstanceUID)
    assert second.same_as == first.id
    assert [line.state for line in scene.node.revisions(study_uid("woken"))] == ["composed"]


def test_what_was_given_up_is_shown_and_one_command_brings_it_back(
    scene: Scene, tmp_path: Path
) -> None:
    """`deliver_within_hours` is over: parked with its reason; `jobs retry` sends it once the archive is there."""
    ds = film("hurried")
    scene.send(write(tmp_path, "film", ds), "hurried")
    (one,) = scene.wait_for_states("hurried", "hurried", "parked")
    assert one.detail.endswith("connection refused; tried for 0.0001 h")
    assert scene.job(ds)[:8] in scene.node.command("jobs", "list", "--state", "parked").stdout
    assert "parked deliveries" in scene.node.command("check").stdout
    scene.places["hurried"].answer(StoreStatus.SUCCESS)
    time.sleep(2)
    assert scene.wait_for_states("hurried", "hurried", "parked")
    said = scene.node.command("jobs", "retry", scene.job(ds))
    assert said.returncode == 0, said.stderr
    assert "1 deliveries go again" in said.stdout
    scene.wait_for_states("hurried", "hurried", "delivered")
    (overlay,) = scene.places["hurried"].came()
    assert overlay.SOPInstanceUID == one.sop_instance_uid


def test_a_cancelled_delivery_is_not_sent_any_more(scene: Scene, tmp_path: Path) -> None:
    """`jobs cancel` takes back what waits; the archive gets nothing when it comes up, and later films as ever."""
    ds = film("cancelled")
    scene.send(write(tmp_path, "film", ds), "cancelled")
    scene.wait_for_states("cancelled", "cancelled", "waiting")
    said = scene.node.command("jobs", "cancel", scene.job(ds))
    assert "cancelled: 1 deliveries" in said.stdout, said.stderr
    scene.places["cancelled"].answer(StoreStatus.SUCCESS)
    scene.send(write(tmp_path, "next", film("not cancelled")), "cancelled")
    scene.wait_for_states("not cancelled", "cancelled", "delivered")
    (overlay,) = scene.places["cancelled"].came()
    assert overlay.StudyInstanceUID == study_uid("not cancelled")
    assert scene.wait_for_states("cancelled", "cancelled", "cancelled")
