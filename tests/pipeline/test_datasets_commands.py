"""`dicom-node dataset`: check ends with the status it promises, describe opens offline, get survives a bad line."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import stat
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import httpx
import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from dicom_node.operating.dataset_archive import Archive, ArchiveError, fetch, find_archive, unpack
from pipeline.findings import RESEARCH_NOTICE
from pipeline.training.datasets.layouts import examine, list_dataset
from tests.made_datasets import COLUMNS, ROWS, make_mura, make_published_fracatlas, make_yolo
from tests.made_films import make_fracatlas


def run(*arguments: object) -> Result:
    """A command in this process, its lines as long as they like."""
    return CliRunner().invoke(app, ["dataset", *map(str, arguments)], env={"COLUMNS": "300"})


class Figshare:
    """A record and its zip on loopback; serves Range, and cuts the first `cuts` answers in the middle."""

    def __init__(self, data: bytes, cuts: int = 0, md5: str = "", ranges: bool = True) -> None:
        self.data, self.cuts, self.ranges = data, cuts, ranges
        self.md5 = md5 or hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.asked: list[str | None] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def record(self) -> bytes:
        """What figshare's API answers, as far as it is read."""
        file = {
            "name": "FracAtlas.zip", "size": len(self.data), "download_url": f"{self.url}/files/1",
            "computed_md5": self.md5,
        }  # fmt: skip
        licence = {"name": "CC BY 4.0"}
        return json.dumps(
            {"title": "Made", "doi": "10.0/made", "license": licence, "files": [file]}
        ).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                if self.path.startswith("/v2/articles/"):
                    self._answer(200, owner.record(), len(owner.record()), {})
                    return
                asked = self.headers.get("Range")
                owner.asked.append(asked)
                start = int(re.sub(r"\D", "", asked)) if asked and owner.ranges else 0
                whole = owner.data[start:]
                cut, owner.cuts = owner.cuts > 0, owner.cuts - 1
                sent = whole[: len(whole) // 2] if cut else whole
                end = f"bytes {start}-{len(owner.data) - 1}/{len(owner.data)}"
                self._answer(
                    206 if start else 200, sent, len(whole), {"Content-Range": end} if start else {}
                )

            def _answer(self, status: int, body: bytes, length: int, more: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(length), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

        return Handler

    def fetch(self, to: Path, tries: int = 3) -> None:
        """Finds and fetches, without waiting between tries."""
        with httpx.Client(timeout=10) as client:
            archive = find_archive(client, self.url)
            fetch(client, archive, to, moved=lambda _: None, pause=lambda _: None, tries=tries)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The made archive, as it is published."""
    folder = make_published_fracatlas(tmp_path_factory.mktemp("archive") / "tree")
    return Path(shutil.make_archive(str(folder.parent / "FracAtlas"), "zip", folder)).read_bytes()


@pytest.fixture
def served() -> Iterator[list[Figshare]]:
    """Servers that end with the test."""
    servers: list[Figshare] = []
    yield servers
    for one in servers:
        one.server.shutdown()
        one.server.server_close()


def test_get_goes_on_after_a_cut_and_writes_a_set_that_can_be_trained_on(
    tmp_path: Path, zipped: bytes, served: list[Figshare], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Licence first; the second request asks for the rest only; the damaged film and the copy are left out."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    site = Figshare(zipped, cuts=1)
    served.append(site)
    films = tmp_path / "films"
    done = run("get", "fracatlas", "--to", films, "--url", site.url)
    assert done.exit_code == 0, done.output
    assert done.output.index("CC BY 4.0") < done.output.index("films written")
    assert site.asked == [None, f"bytes={len(zipped) // 2}-"]
    assert "IMG0000002.jpg" in done.output
    assert "58 films written, 1 copies left out" in done.output
    assert "not mended" in done.output
    assert sorted(path.name for path in films.iterdir()) == [
        "boxes.csv", "images", "labels.csv", "masks.json",
    ]  # fmt: skip
    listing = list_dataset(films, layout=None, said=lambda _: None)
    assert listing.layout == "fracatlas"
    assert not examine(listing).problems
    checked = run("check", films)
    assert checked.exit_code == 0, checked.output
    with (films / "labels.csv").open(newline="") as table:
        rows = {row["id"]: row for row in csv.DictReader(table)}
    assert cv2.imread(str(films / rows["IMG0000001"]["file"])).shape[:2] == (512, 384)
    assert (rows["IMG0000001"]["width"], rows["IMG0000001"]["height"]) == ("600", "800")
    assert "IMG0000031" not in rows, "of two copies the one labelled as fractured stays"
    assert rows["IMG0000030"]["label_conflict"] == "1"
    assert rows["IMG0000000"]["hardware"] == "1"
    boxed = next(film for film in listing.files if film.id == "IMG0000003")
    assert boxed.boxes[0] == pytest.approx((12 / COLUMNS, 16 / ROWS, 36 / COLUMNS, 24 / ROWS), abs=1e-5)


def test_get_goes_on_where_an_earlier_command_stopped(
    tmp_path: Path, zipped: bytes, served: list[Figshare]
) -> None:
    """What lies in the .part file is not asked for again."""
    site = Figshare(zipped)
    served.append(site)
    (tmp_path / "a.zip.part").write_bytes(zipped[:1000])
    site.fetch(tmp_path / "a.zip")
    assert site.asked == ["bytes=1000-"]
    assert (tmp_path / "a.zip").read_bytes() == zipped
    site.fetch(tmp_path / "a.zip")
    assert len(site.asked) == 1, "a whole archive is not fetched again"


def test_a_server_that_knows_no_ranges_sends_everything_again(
    tmp_path: Path, zipped: bytes, served: list[Figshare]
) -> None:
    """RFC 9110 14.2 lets it; nothing is glued together wrongly."""
    site = Figshare(zipped, cuts=1, ranges=False)
    served.append(site)
    site.fetch(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == zipped


def test_a_wrong_digest_is_refused_and_deleted(
    tmp_path: Path, zipped: bytes, served: list[Figshare]
) -> None:
    """Nothing of it is unpacked."""
    site = Figshare(zipped, md5="0" * 32)
    served.append(site)
    done = run("get", "fracatlas", "--to", tmp_path / "films", "--url", site.url)
    assert done.exit_code == 1
    assert f"the record says {'0' * 32}" in done.output
    assert list((tmp_path / "films").iterdir()) == []


def test_a_line_that_is_dead_ends_with_what_is_there(
    tmp_path: Path, zipped: bytes, served: list[Figshare]
) -> None:
    """After tries that brought nothing; what came stays for the next command."""
    site = Figshare(zipped)
    served.append(site)
    nowhere = Archive("", "", "", "a.zip", "http://127.0.0.1:9/a.zip", len(zipped), site.md5)
    (tmp_path / "a.zip.part").write_bytes(zipped[:1000])
    waits: list[float] = []
    with (
        httpx.Client(timeout=5) as client,
        pytest.raises(ArchiveError, match=rf"1000 of {len(zipped)} bytes came"),
    ):
        fetch(client, nowhere, tmp_path / "a.zip", moved=lambda _: None, pause=waits.append, tries=3)
    assert waits == [2, 4]
    assert (tmp_path / "a.zip.part").stat().st_size == 1000


def test_a_record_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    """With the option that names another place."""
    done = run("get", "fracatlas", "--to", tmp_path / "films", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "http://127.0.0.1:9/v2/articles/22363012" in done.output
    assert "--url" in done.output


def test_get_never_writes_over_a_data_set(tmp_path: Path) -> None:
    """Another folder is asked for, before anything is fetched."""
    make_fracatlas(tmp_path)
    assert run("get", "fracatlas", "--to", tmp_path).exit_code == 2
    assert run("get", "mura", "--to", tmp_path / "new").exit_code == 2


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/outside.txt", "a/../../outside.txt", "C:\\outside.txt"]
)
def test_a_zip_that_reaches_outside_is_not_unpacked(tmp_path: Path, name: str) -> None:
    """Nothing of it, not even its good members."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(name, "bad")
    with pytest.raises(ArchiveError, match="would lie outside"):
        unpack(path, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_links_bombs_and_damage_are_not_unpacked(tmp_path: Path) -> None:
    """Each is named."""
    link, path = zipfile.ZipInfo("link"), tmp_path / "a.zip"
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link"):
        unpack(path, tmp_path / "to")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(10_000))
    with pytest.raises(ArchiveError, match="10000 bytes"):
        unpack(path, tmp_path / "to", most=9_999)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(path, tmp_path / "to")


def test_check_says_what_there_is_and_ends_with_0(tmp_path: Path) -> None:
    """Counts by split, and the layout."""
    done = run("check", make_fracatlas(tmp_path))
    assert done.exit_code == 0, done.output
    assert "layout fracatlas, can be trained on" in done.output
    assert re.search(r"train\s+20\s+7\s+10\s+7", done.output), done.output


def test_check_ends_with_1_on_what_forbids_training(tmp_path: Path) -> None:
    """Every fatal problem is told, not only the first."""
    make_fracatlas(tmp_path)
    shutil.copy(tmp_path / "images/made_001.jpg", tmp_path / "images/made_006.jpg")
    shutil.copy(tmp_path / "images/made_002.jpg", tmp_path / "images/made_007.jpg")
    done = run("check", tmp_path)
    assert done.exit_code == 1
    assert "2 fatal problems" in done.output
    assert "made_007" in done.output


def test_check_says_that_mura_is_about_the_abnormal(tmp_path: Path) -> None:
    """A label that means something else is no secret."""
    done = run("check", make_mura(tmp_path))
    assert done.exit_code == 0, done.output
    assert "abnormal, not fractured" in done.output


def test_check_wants_to_know_the_patients(tmp_path: Path) -> None:
    """It tells the remedy, and takes it."""
    make_yolo(tmp_path)
    done = run("check", tmp_path)
    assert done.exit_code == 1
    assert "--group-by" in done.output
    assert run("check", tmp_path, "--group-by", r"^(p\d+)_").exit_code == 0
    alone = run("check", tmp_path, "--each-film-alone")
    assert alone.exit_code == 0
    assert "every figure is too good" in alone.output


def test_check_without_imagehash_says_what_it_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does the rest."""
    monkeypatch.setitem(sys.modules, "imagehash", None)
    monkeypatch.delitem(sys.modules, "dicom_node.operating.near_duplicates", raising=False)
    done = run("check", make_fracatlas(tmp_path))
    assert done.exit_code == 0, done.output
    assert "near-duplicates are not looked for" in done.output
    assert "fracture-node[training]" in done.output


def test_describe_writes_one_page_that_asks_for_nothing(tmp_path: Path) -> None:
    """Pictures inside, no address of another host, the notice on it; and a PNG where one is wished."""
    make_fracatlas(tmp_path / "<films>")
    done = run("describe", tmp_path / "<films>", "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text()
    assert RESEARCH_NOTICE in page
    assert page.count('src="data:image/png;base64,') == 2
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "<h1>&lt;films&gt;</h1>" in page
    assert "<td>split: train</td><td>7</td><td>13</td>" in page
    assert run("describe", tmp_path / "<films>", "--out", tmp_path / "page.png").exit_code == 0
    assert cv2.imread(str(tmp_path / "page.png")).shape[2] == 3
    assert run("describe", tmp_path / "<films>", "--out", tmp_path / "page.pdf").exit_code == 2


def test_describe_without_matplotlib_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node does without it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("describe", make_fracatlas(tmp_path), "--out", tmp_path / "page.html")
    assert done.exit_code == 2
    assert "fracture-node[training]" in done.output
