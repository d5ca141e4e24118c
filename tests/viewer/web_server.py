"""A small web server: OHIF's files, and Orthanc's DICOMweb under the same origin.

Run inside the archive's network namespace: `python -m tests.viewer.web_server PACKAGE PORT ARCHIVE_PORT`.
"""

from __future__ import annotations

import contextlib
import http.client
import mimetypes
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.viewer.ohif import built_viewer

PORT = 8300
ROOT = Path(__file__).resolve().parents[2]
# Without both, a browser gives no shared memory to the viewer's decoders.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HANDED_ON = ("Accept", "Accept-Encoding", "Host")


@contextlib.contextmanager
def serving(
    package: Path, folder: Path, within: tuple[str, ...], archive_port: int, port: int = PORT
) -> Iterator[str]:
    """The server as a process of the namespace; gives the viewer's address there."""
    run = [sys.executable, "-m", "tests.viewer.web_server", str(package), str(port), str(archive_port)]
    said = folder / "web-server.txt"
    with said.open("wb") as log:
        process = subprocess.Popen([*within, *run], cwd=ROOT, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while b"serving" not in said.read_bytes():
            assert process.poll() is None, f"the web server ended: {said.read_text()}"
            assert time.monotonic() < until, f"the web server does not start: {said.read_text()}"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def handler(served: dict[str, bytes], archive_port: int) -> type[BaseHTTPRequestHandler]:
    """What answers a request: a file of the viewer, its front page for its own routes, or the archive."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """A path of the archive or of the viewer."""
            path = self.path.partition("?")[0]
            if path.startswith("/dicom-web/"):
                self._hand_on()
                return
            # A single-page application: its routes have no file.
            name = path if path in served else "/index.html"
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            self._answer(200, kind, served[name], {"Cache-Control": "max-age=3600"})

        def _hand_on(self) -> None:
            archive = http.client.HTTPConnection("127.0.0.1", archive_port, timeout=60)
            asked = {name: self.headers[name] for name in _HANDED_ON if name in self.headers}
            archive.request("GET", self.path, headers=asked)
            said = archive.getresponse()
            kind = said.headers.get("Content-Type", "application/octet-stream")
            coding = said.headers.get("Content-Encoding")
            more = {"Content-Encoding": coding} if coding else {}
            self._answer(said.status, kind, said.read(), more)
            archive.close()

        def _answer(
            self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **ISOLATION}
            for name, value in {**headers, **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main() -> None:
    """Serves until it is ended."""
    package, port, archive_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answers = handler(built_viewer(package), archive_port)
    with ThreadingHTTPServer(("127.0.0.1", port), answers) as server:
        print("serving", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
