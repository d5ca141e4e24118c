"""A real archive: Orthanc takes objects by C-STORE and STOW-RS, and reports commitment on its own association."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dicom_node.delivering.instance_query import instances_there
from dicom_node.delivering.object_sender import sender_to
from dicom_node.delivering.reachability import reach
from dicom_node.dimse_status import Judgement, judge
from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_scp import StorageScp
from dicom_node.records import SopReference
from dicom_node.settings import DicomwebDestination
from tests.delivering.committing_archive import SECONDARY_CAPTURE, CommittingArchive
from tests.node.orthanc import DICOM_PORT, HTTP_PORT, network_namespace, running_orthanc
from tests.phantoms import phantom
from tests.real_parts import dicomweb_plugin

from .commitment_site import Site, made
from .conftest import Workplace

pytestmark = pytest.mark.real_part

NODE_PORT = 11112
ROOT = f"http://127.0.0.1:{HTTP_PORT}"
_CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread, and those that it starts, in a network namespace (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open() as home,
        Path("/run/netns", name).open() as there,
    ):
        assert libc.setns(there.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Orthanc with its DICOMweb plug-in; the tests of this module run beside it, in its namespace."""
    folder = tmp_path_factory.mktemp("archive") / "orthanc"
    with (
        network_namespace() as within,
        running_orthanc(folder, within, NODE_PORT, [dicomweb_plugin()]),
        inside(within[-1]),
    ):
        yield


@contextlib.contextmanager
def receiver(site: Site) -> Iterator[None]:
    """The node's receiver, where Orthanc's settings say that the node is."""
    node = site.settings.node.model_copy(update={"port": NODE_PORT})
    settings = site.settings.model_copy(update={"node": node})
    place = site.place
    scp = StorageScp(settings, Spool(place.folder, 0), place.intake, lambda: place.now)
    scp.start()
    try:
        yield
    finally:
        scp.stop(0)


def wait_for(question: Callable[[], bool], seconds: float = 60) -> None:
    """Until it is so."""
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until
        time.sleep(0.05)


def stored(uid: str) -> list[str]:
    """Orthanc's own names of an instance."""
    asked = {"Level": "Instance", "Query": {"SOPInstanceUID": uid}}
    found: list[str] = httpx.post(f"{ROOT}/tools/find", json=asked, trust_env=False).json()
    return found


def forget(uid: str) -> None:
    """Deletes an instance in Orthanc."""
    (name,) = stored(uid)
    httpx.delete(f"{ROOT}/instances/{name}", trust_env=False).raise_for_status()


def archive() -> CommittingArchive:
    """Where Orthanc is."""
    return CommittingArchive(ae_title="ORTHANC", port=DICOM_PORT)


@pytest.mark.usefixtures("orthanc")
def test_orthanc_takes_responsibility(workplace: Workplace) -> None:
    """Its report comes on an association of its own; it is no peer of the node."""
    site = Site(workplace, archive(), ("2.25.101", "2.25.102"))
    site.deliver()
    with receiver(site):
        site.ask()
        wait_for(lambda: site.states() == [("delivered", "committed")] * 2)


@pytest.mark.usefixtures("orthanc")
def test_what_orthanc_lost_is_sent_again_and_then_committed(workplace: Workplace) -> None:
    """It reports 0112 for what was deleted in between."""
    site = Site(workplace, archive(), ("2.25.111", "2.25.112"))
    site.deliver()
    forget("2.25.112")
    with receiver(site):
        site.ask()
        wait_for(lambda: site.states()[1] == ("queued", "sent again"))
        assert "0x0112" in site.lines["2.25.112"].commitment_detail
        site.deliver()
        site.ask()
        wait_for(lambda: site.states() == [("delivered", "committed")] * 2)
    assert len(stored("2.25.112")) == 1


@pytest.mark.usefixtures("orthanc")
def test_orthanc_says_what_it_has(workplace: Workplace) -> None:
    """By C-FIND at IMAGE level, after it got one of two."""
    site = Site(workplace, archive(), ("2.25.121",))
    site.deliver()
    place = site.settings.committing_destinations[0]
    ds = phantom()
    asked = [
        SopReference(ds.StudyInstanceUID, ds.SeriesInstanceUID, SECONDARY_CAPTURE, uid)
        for uid in ("2.25.121", "2.25.122")
    ]
    assert instances_there(place, "FRACTURE", asked) == {"2.25.121"}


@pytest.mark.usefixtures("orthanc")
def test_stow_to_orthanc_brings_the_bytes_as_they_are(tmp_path: Path) -> None:
    """And the same again is delivered too; what is no DICOM is not."""
    place = DicomwebDestination(name="web", kind="dicomweb", url=f"{ROOT}/dicom-web/")
    path = tmp_path / "object.dcm"
    path.write_bytes(made("2.25.131").data)
    assert reach(place, "FRACTURE").answered
    with sender_to(place, "FRACTURE", []) as sender:
        for _ in range(2):
            assert judge(sender.send(path)) in (
                Judgement.DELIVERED,
                Judgement.DELIVERED_WITH_WARNING,
            )
    (name,) = stored("2.25.131")
    given = httpx.get(f"{ROOT}/instances/{name}/file", trust_env=False)
    assert given.content == path.read_bytes()
