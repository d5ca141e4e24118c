"""STOW-RS: every answer judged, secrets kept, and what is wrong said with the URL."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest
import trustme
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.delivering.object_sender import sender_to
from dicom_node.delivering.reachability import reach
from dicom_node.dimse_status import Judgement, judge
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.settings import DicomwebDestination
from tests.delivering.dicomweb_server import authority_file, dicomweb_server
from tests.delivering.peers import free_port, listener
from tests.phantoms import encode, phantom

SECRET = "hunter2-top-secret"  # noqa: S105 - the test's own


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A DICOM file."""
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    return path


def store(place: DicomwebDestination, film: Path) -> int:
    """One object, stored."""
    with sender_to(place, "FRACTURE", []) as sender:
        return sender.send(film)


def down(place: DicomwebDestination, film: Path) -> str:
    """Why the destination is down."""
    with pytest.raises(DestinationDownError) as caught:
        store(place, film)
    return str(caught.value)


def test_the_file_goes_byte_for_byte(film: Path) -> None:
    """As one part of a multipart body, to `studies` below the root."""
    with dicomweb_server() as server:
        assert store(server.destination(), film) == 0
    assert server.paths == ["/dicom-web/studies"]
    assert server.parts == [film.read_bytes()]
    assert server.asked[0]["Content-Type"].startswith('multipart/related; type="application/dicom"')
    assert server.asked[0]["Accept"] == "application/dicom+json"


IN_BOTH = pytest.mark.parametrize("in_xml", [False, True], ids=["json", "xml"])


@IN_BOTH
@pytest.mark.parametrize("reason", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_delivered_and_told(film: Path, reason: int, in_xml: bool) -> None:
    """202 with a Warning Reason: it is stored."""
    with dicomweb_server() as server:
        server.in_xml = in_xml
        server.warns(reason)
        assert store(server.destination(), film) == reason
    assert judge(reason) is Judgement.DELIVERED_WITH_WARNING


@IN_BOTH
@pytest.mark.parametrize("status", [200, 202, 409])
def test_what_it_has_already_is_delivered(film: Path, status: int, in_xml: bool) -> None:
    """45070 among the failures: the same UID means the same bytes."""
    with dicomweb_server() as server:
        server.in_xml = in_xml
        server.fails(45070, status)
        assert judge(store(server.destination(), film)) is Judgement.DELIVERED_WITH_WARNING


@IN_BOTH
@pytest.mark.parametrize("status", [200, 202, 409])
def test_a_failed_object_is_no_success_whatever_the_http_status(
    film: Path, status: int, in_xml: bool
) -> None:
    """Only the Failed SOP Sequence tells; its reason is in the message."""
    with dicomweb_server() as server:
        server.in_xml = in_xml
        server.fails(0xC122, status)
        with pytest.raises(ObjectRefusedError, match="failure reason 0xC122") as caught:
            store(server.destination(), film)
    assert caught.value.status == 0xC122
    assert server.url in str(caught.value)


def test_a_failure_that_may_pass_is_tried_again(film: Path) -> None:
    """A700 is for the server's want, not for the object."""
    with dicomweb_server() as server:
        server.fails(0xA700)
        assert judge(store(server.destination(), film)) is Judgement.RETRY


BOMB = '<!DOCTYPE x [<!ENTITY a "5">]><NativeDicomModel><DicomAttribute tag="00081198"><Item/></DicomAttribute></NativeDicomModel>'
FAILED_IN_XML = (
    '<NativeDicomModel><DicomAttribute tag="00081198"><Item/></DicomAttribute>{}</NativeDicomModel>'
)


@pytest.mark.parametrize(
    "body",
    [
        "", "<NativeDicomModel/>", "[]", '{"00081198": 3}', "[" * 100_000, "<html>no</html>", "<NativeDicomModel>", BOMB,
        '<?xml version="1.0" encoding="utf-77"?><NativeDicomModel/>', FAILED_IN_XML.format(" " * (1 << 20)),
    ],
    ids=["nothing", "xml", "list", "number", "deep", "html", "cut off", "entities", "encoding", "too long"],
)  # fmt: skip
def test_an_answer_that_says_nothing_of_the_object(film: Path, body: str) -> None:
    """200 is Success by PS3.18; 202 and 409 are not."""
    with dicomweb_server() as server:
        server.body = body
        assert store(server.destination(), film) == 0
        for status in (202, 409, 400):
            server.status = status
            with pytest.raises(ObjectRefusedError, match=str(status)):
                store(server.destination(), film)


def test_a_reason_that_is_no_reason_is_none(film: Path) -> None:
    """Text, and numbers that no unsigned short holds."""
    for value in ("²", "A700", 65536, "9" * 5000, -1):
        with dicomweb_server() as server:
            item = {"00081197": {"vr": "US", "Value": [value]}}
            server.status, server.body = 409, {"00081198": {"vr": "SQ", "Value": [item]}}
            server.in_xml = True
            with pytest.raises(ObjectRefusedError, match="without a reason") as caught:
                store(server.destination(), film)
        assert caught.value.status is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not know who we are"),
        (403, "does not let us store"),
        (404, "look at url"),
        (429, "too often"),
        (500, "the server's own log"),
        (503, "the server's own log"),
    ],
)
def test_what_is_not_about_the_object_waits_and_is_said(film: Path, status: int, words: str) -> None:
    """Set-up errors and outages: the delivery waits, and the line names URL, status and remedy."""
    with dicomweb_server() as server:
        server.status = status
        said = down(server.destination(), film)
        seen = reach(server.destination(), "FRACTURE")
    assert f"{server.url}/studies answered {status}" in said
    assert words in said
    assert (seen.answered, seen.reason) == (False, said)


def test_nothing_is_sent_on_to_where_a_server_points(film: Path, tmp_path: Path) -> None:
    """A redirect is not followed: a token must not go elsewhere."""
    token = tmp_path / "token"
    token.write_text(SECRET)
    with dicomweb_server() as other, dicomweb_server() as server:
        server.status, server.headers = 307, {"Location": f"{other.url}/studies"}
        assert "elsewhere" in down(server.destination(token_file=token), film)
        assert other.asked == []


# Who we are


def test_a_token_is_read_at_each_opening(film: Path, tmp_path: Path) -> None:
    """So that it can be rotated while the node runs."""
    token = tmp_path / "token"
    with dicomweb_server() as server:
        for text in ("first", "second"):
            token.write_text(f"{text}\n")
            store(server.destination(token_file=token), film)
    assert [one["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]


def test_a_name_and_a_password_are_sent(film: Path, tmp_path: Path) -> None:
    """Basic authentication, with the password in a file."""
    password = tmp_path / "password"
    password.write_text(f"{SECRET}\n")
    with dicomweb_server() as server:
        store(server.destination(username="node", password_file=password), film)
    expected = base64.b64encode(f"node:{SECRET}".encode()).decode()
    assert server.asked[0]["Authorization"] == f"Basic {expected}"


def test_no_secret_is_in_a_log_or_a_message(
    film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the most talkative level, whatever goes wrong."""
    token = tmp_path / "token"
    token.write_text(SECRET)
    caplog.set_level(logging.DEBUG)
    with dicomweb_server() as server:
        place = server.destination(token_file=token)
        store(place, film)
        server.status = 401
        said = down(place, film)
    said += down(place, film)
    token.write_text(f"{SECRET}\n{SECRET}\n")
    said += down(place, film)
    assert "not one line" in said
    assert SECRET not in said + caplog.text


def test_a_secret_that_cannot_be_read_is_down_and_named(film: Path, tmp_path: Path) -> None:
    """The file may come back; until then the deliveries wait."""
    with dicomweb_server() as server:
        said = down(server.destination(token_file=tmp_path / "absent"), film)
    assert said == f"token_file = '{tmp_path / 'absent'}': No such file or directory"


# TLS


def test_a_sites_own_authority_is_trusted(film: Path, tmp_path: Path) -> None:
    """Over TLS, by `certificate_authority`."""
    authority = trustme.CA()
    pem = authority_file(authority, tmp_path / "ca.pem")
    with dicomweb_server(authority) as server:
        place = server.destination(certificate_authority=pem)
        assert store(place, film) == 0
        assert reach(place, "FRACTURE").answered
    assert server.parts == [film.read_bytes()]


def test_a_strangers_certificate_is_refused_before_anything_is_sent(film: Path, tmp_path: Path) -> None:
    """Of no authority that the system or the settings trust, or for another name."""
    token = tmp_path / "token"
    token.write_text(SECRET)
    pem = authority_file(trustme.CA(), tmp_path / "other.pem")
    with dicomweb_server(trustme.CA()) as server:
        for more in ({}, {"certificate_authority": pem}):
            said = down(server.destination(token_file=token, **more), film)
            assert "its certificate is not trusted" in said
            assert "look at certificate_authority" in said
    assert server.asked == []


def test_a_file_that_is_no_authority_is_named(film: Path, tmp_path: Path) -> None:
    """With the key of the settings."""
    (tmp_path / "ca.pem").write_text("hello")
    with dicomweb_server() as server:
        said = down(server.destination(certificate_authority=tmp_path / "ca.pem"), film)
    assert said.startswith(f"certificate_authority = '{tmp_path / 'ca.pem'}'")


# Nobody there


def test_nobody_there_is_down(film: Path) -> None:
    """Connection refused; an unknown name; somebody who is no web server."""
    nobody = DicomwebDestination(
        name="cloud", kind="dicomweb", url=f"http://127.0.0.1:{free_port()}/x", timeout_seconds=2
    )
    assert "connection refused" in down(nobody, film)
    assert not reach(nobody, "FRACTURE").answered
    with listener(b"\x07\x00\x00\x00\x00\x04\0\0\x02\0") as port:
        stranger = nobody.model_copy(update={"url": type(nobody.url)(f"http://127.0.0.1:{port}/x")})
        assert f"127.0.0.1:{port}" in down(stranger, film)


def test_a_server_that_does_not_answer_is_given_up_in_time(film: Path) -> None:
    """By the timeout of the settings."""
    with dicomweb_server() as server:
        server.silent_seconds = 3
        assert "no answer in time" in down(server.destination(timeout_seconds=0.5), film)


def test_the_question_whether_it_is_there_names_no_patient(film: Path) -> None:
    """A study that nobody has; a server that only stores may not know the question."""
    with dicomweb_server() as server:
        assert reach(server.destination(), "FRACTURE").answered
        server.status = 405
        assert reach(server.destination(), "FRACTURE").answered
    assert server.paths[0] == "/dicom-web/studies?StudyInstanceUID=2.25.0&limit=1"
