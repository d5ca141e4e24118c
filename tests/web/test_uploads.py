"""Files that strangers give: what is no film is refused in words, early, with bounded memory, and nothing stays."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.web.problem import ProblemError
from dicom_node.web.upload_form import NAMELESS, UploadForm, shown_name
from dicom_node.web.uploads import empty_uploads
from pipeline.file_kind import FileKind
from tests.phantoms import encode, phantom
from tests.web.conftest import Site
from tests.web.given_files import (
    deflated_bomb,
    dicom_film,
    encoded,
    film_without_pixels,
    huge_png,
    png_film,
)
from tests.web.live_site import LiveSite

LIMIT = 2_000_000
BOUNDARY = b"part-of-a-form"
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"


def form_of(data: bytes, name: str = "hand.dcm", **fields: str) -> bytes:
    """A form with a file, flags before it."""
    parts = [
        b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (key.encode(), value.encode())
        for key, value in fields.items()
    ]
    parts.append(
        b'Content-Disposition: form-data; name="file"; filename="%b"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%b" % (name.encode(), data)
    )
    whole = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY, part) for part in parts)
    return whole + b"--%b--\r\n" % BOUNDARY


def left_over(site: Site) -> list[Path]:
    """What lies in the folder of uploads."""
    return list((site.settings.node.data / "uploads").glob("*"))


STRANGERS: dict[str, tuple[bytes, int, str]] = {
    "HTML named .dcm": (b"<!DOCTYPE html><html><script>alert(1)</script>" + b" " * 200, 415, "an HTML page"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + b" " * 200, 415, "an SVG"),
    "SVG after a prologue": (b'<?xml version="1.0"?><svg/>' + b" " * 200, 415, "an XML document"),
    "ZIP": (b"PK\x03\x04" + bytes(500), 415, "a ZIP archive"),
    "PDF": (b"%PDF-1.7" + bytes(500), 415, "a PDF"),
    "TIFF": (b"II*\x00" + bytes(500), 415, "a TIFF"),
    "text": (b"Nothing to see here. " * 20, 415, "FN-106"),
    "a few bytes": (b"DICM", 415, "FN-106"),
    "empty": (b"", 422, "it is empty"),
    "PNG cut short": (png_film()[:2000], 422, "FN-105"),
    "JPEG cut short": (encoded(phantom().pixel_array.astype("uint8"), "JPEG")[:900], 422, "FN-105"),
    "DICOM cut short": (dicom_film()[:-5000], 422, "FN-103"),
    "DICOM without pixels": (film_without_pixels(), 422, "FN-101"),
    "no DICOM after all": (b"\x08\x00" + bytes(300), 415, "FN-106"),
    "PNG of 30,000 px": (huge_png(30_000, 30_000), 413, "FN-006"),
    "PNG of more than a PNG may have": (huge_png(2**31 - 1, 2**31 - 1), 413, "FN-006"),
    "PNG of a gigabyte that says it is small": (huge_png(1000, 900), 200, "FN-107"),
    "deflated DICOM of 300 MB": (deflated_bomb(), 413, "FN-006"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_film_is_refused_in_words_and_bounded_memory(reading_site: Site, name: str) -> None:
    """The refusal names the reason; neither the page nor the reading process grows by what the file inflates to."""
    data, status, words = STRANGERS[name]
    assert len(data) < LIMIT
    with reading_site.program() as program:
        program.post("/api/v1/predict", files={"file": ("a.png", png_film())})
        opened = reading_site.reading_room.opened
        assert opened is not None
        reader = psutil.Process(opened.pid)
        before = psutil.Process().memory_info().rss
        answer = program.post("/api/v1/predict", files={"file": ("film.dcm", data)})
        assert answer.status_code == status, answer.text
        assert words in answer.text
        assert psutil.Process().memory_info().rss - before < 150e6
        assert reading_site.reading_room.opened == opened, "the reading process ended"
        assert peak_bytes(reader.pid) - opened.byte_count < 700e6
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
    assert not left_over(reading_site)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_a_film_outside_the_scope_is_an_outcome(reading_site: Site) -> None:
    """A chest is no fault of the file: it is "not processed", with the reason."""
    ds = phantom()
    ds.BodyPartExamined = "CHEST"
    chest = encode(ds, ExplicitVRLittleEndian)
    with reading_site.program() as program:
        answer = program.post("/api/v1/predict", files={"file": ("chest.dcm", chest)})
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "not processed"
    assert answer.json()["reason"]["code"] == "FN-003"
    assert answer.json()["fracture_probability"] is None


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", TYPE, 400),
        (form_of(png_film())[:-200], TYPE, 400),
        (b"no form at all", TYPE, 400),
        (form_of(png_film()), "multipart/form-data", 400),
        (form_of(png_film()), "multipart/form-data; boundary=" + "b" * 500, 400),
        (form_of(png_film()), "application/x-www-form-urlencoded", 415),
        (png_film(), "image/png", 415),
        (form_of(png_film()).replace(b'name="file"', b'name="film"'), TYPE, 422),
        (form_of(png_film(), overlay="y" * 1000), TYPE, 422),
        (form_of(png_film(), **{f"field{n}": "x" for n in range(30)}), TYPE, 422),
        (form_of(png_film())[:-20] + b"\r\n" + form_of(png_film()), TYPE, 422),
    ],
)
def test_a_form_that_is_none_is_a_problem_of_the_request(
    reading_site: Site, body: bytes, kind: str, status: int
) -> None:
    """Cut off, without boundary, another kind of body, no file in it, too much in it, two files."""
    with reading_site.program() as program:
        answer = program.post("/api/v1/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert not left_over(reading_site)


@given(st.lists(st.integers(1, 400), max_size=40))
def test_a_form_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    """The file's bytes, its name, its kind and the flags do not depend on how the network cut them."""
    data = png_film()[:6000] + b"\r\n--part-of-a-for" + bytes(50)
    whole, form, got, at = form_of(data, "a hand.png", overlay="1"), UploadForm(TYPE, LIMIT), b"", 0
    for cut in [*cuts, len(whole)]:
        got += form.feed(whole[at : at + cut])
        at += cut
    form.finish()
    assert (got, form.name, form.kind, form.fields) == (
        data,
        "a hand.png",
        FileKind.PNG,
        {"overlay": "1"},
    )
    assert form.byte_count == len(data)


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("C:\\films\\hand.dcm", "hand.dcm"),
        ("hand\x00\r\n\u202egnp.dcm", "handgnp.dcm"),
        ("", NAMELESS),
        ("/", NAMELESS),
        ("x" * 5000, "x" * 120),
        ("Röntgen 手.dcm", "Röntgen 手.dcm"),
    ],
)
def test_a_file_s_name_is_only_shown(given_name: str, shown: str) -> None:
    """Without folders, without what cannot be seen or turns the writing round, not long."""
    assert shown_name(given_name) == shown


def test_a_name_that_is_a_script_stays_a_name(reading_site: Site) -> None:
    """On the page and in the history it is text; no file on disk is called so."""
    name = "<img src=x onerror=alert(1)>.png"
    with reading_site.program() as program:
        kept = program.post("/api/v1/analyses", files={"file": (name, png_film())})
        assert kept.status_code == 201, kept.text
        assert kept.json()["image_name"] == name
        for path in ("/try", f"/analyses/{kept.json()['id']}"):
            shown = program.get(path, headers={"accept": "text/html"}).text
            assert "<img src=x" not in shown
            assert "&lt;img src=x onerror=alert(1)&gt;.png" in shown
    named = [path for path in reading_site.settings.node.data.rglob("*") if "img" in path.name]
    assert not named


def said_by(live: LiveSite, head: bytes, body: Callable[[], Iterator[bytes]]) -> tuple[bytes, int]:
    """What is answered to a request over a socket, and how many bytes of its body were taken before."""
    sent = 0
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as link:
        link.sendall(head)
        try:
            for piece in body():
                link.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while piece := link.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    return answer, sent


def head_of(live: LiveSite, *headers: str) -> bytes:
    """The head of an upload."""
    lines = ("POST /api/v1/predict HTTP/1.1", f"Host: 127.0.0.1:{live.port}", f"Content-Type: {TYPE}")
    return "\r\n".join((*lines, *headers, "", "")).encode()


def test_two_gigabytes_that_are_announced_are_refused_before_they_come(live: LiveSite) -> None:
    """413 after the headers, and the connection is closed: not a byte of the body is waited for."""
    answer, _ = said_by(live, head_of(live, "Content-Length: 2000000000"), lambda: iter(()))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert b"upload_limit_mb" in answer


def test_two_gigabytes_that_are_not_announced_are_refused_on_their_way(live: LiveSite) -> None:
    """In chunks without a length: the connection is closed soon after the limit, and memory does not grow."""

    def body() -> Iterator[bytes]:
        start = form_of(b"\x89PNG\r\n\x1a\n" + bytes(1000)).partition(b"\r\n--part-of-a-form--")[0]
        for piece in (start, *[bytes(1 << 20)] * 2000):
            yield b"%x\r\n%b\r\n" % (len(piece), piece)

    before = psutil.Process().memory_info().rss
    _, sent = said_by(live, head_of(live, "Transfer-Encoding: chunked"), body)
    # What lies in sockets and buffers on the way counts as sent.
    assert sent < 40e6
    assert psutil.Process().memory_info().rss - before < 100e6
    assert not list((live.context.settings.node.data / "uploads").glob("*"))


def test_a_sender_that_goes_away_leaves_nothing(live: LiveSite) -> None:
    """Half a film, and the connection ends."""
    part = form_of(dicom_film())[:50_000]
    with socket.create_connection(("127.0.0.1", live.port), timeout=30) as link:
        link.sendall(head_of(live, "Content-Length: 1000000") + part)
        link.shutdown(socket.SHUT_WR)
        while link.recv(65536):
            pass
    assert not list((live.context.settings.node.data / "uploads").glob("*"))


def test_only_so_many_come_at_a_time(reading_site: Site) -> None:
    """While four are on their way the fifth is told to come again."""
    held = [reading_site.reading_room.admitted() for _ in range(4)]
    for one in held:
        one.__enter__()
    try:
        with reading_site.program() as program:
            answer = program.post("/api/v1/predict", files={"file": ("a.png", png_film())})
    finally:
        for one in held:
            one.__exit__(None, None, None)
    assert answer.status_code == 429
    assert answer.headers["retry-after"]


def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path: Path) -> None:
    """And the folder is for the node's own user alone."""
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "upload-half").write_bytes(b"half a film")
    empty_uploads(tmp_path)
    assert not list((tmp_path / "uploads").iterdir())
    assert (tmp_path / "uploads").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_said(reading_site: Site) -> None:
    """Uploads leave the room that the node itself needs."""
    retention = reading_site.settings.retention.model_copy(update={"minimum_free_gb": 1e6})
    reading_site.app.state.context = type(reading_site.context)(
        reading_site.settings.model_copy(update={"retention": retention}),
        reading_site.ledger, reading_site.register, lambda: reading_site.now, reading_site.reading_room,
    )  # fmt: skip
    with reading_site.program() as program:
        answer = program.post("/api/v1/predict", files={"file": ("a.png", png_film())})
    assert answer.status_code == 507
    assert "minimum_free_gb" in answer.text


def test_a_file_that_is_too_large_is_told_so_in_megabytes() -> None:
    """The words name the setting."""
    form = UploadForm(TYPE, 3_000_000)
    with pytest.raises(ProblemError, match="3 MB"):
        form.feed(form_of(b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)))
