"""A DICOMweb server on this machine that keeps what it is asked and answers as a test says."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from dicom_node.settings import DicomwebDestination


@dataclass
class Server:
    """What came: path, headers, and the parts of each multipart body.

    What it answers: status and data set, in JSON or in XML (Native DICOM Model, PS3.19 A.1).
    """

    port: int = 0
    scheme: str = "http"
    status: int = 200
    body: dict[str, Any] | str = field(default_factory=dict)
    in_xml: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    silent_seconds: float = 0
    paths: list[str] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The service's root."""
        return f"{self.scheme}://localhost:{self.port}/dicom-web"

    def destination(self, **more: Any) -> DicomwebDestination:
        """Settings that lead to it."""
        given = {"name": "cloud", "kind": "dicomweb", "url": self.url, "timeout_seconds": 5, **more}
        return DicomwebDestination.model_validate(given)

    def fails(self, reason: int, status: int = 409) -> None:
        """Has it fail every object with this Failure Reason."""
        item = {"00081197": {"vr": "US", "Value": [reason]}}
        self.status, self.body = status, {"00081198": {"vr": "SQ", "Value": [item]}}

    def warns(self, reason: int) -> None:
        """Has it store every object with this Warning Reason."""
        item = {"00081196": {"vr": "US", "Value": [reason]}}
        self.status, self.body = 202, {"00081199": {"vr": "SQ", "Value": [item]}}


def _parts(kind: str, body: bytes) -> list[bytes]:
    """The bodies of a multipart message's parts, split by hand: the test's own reading of RFC 2046."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    pieces = body.split(boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/dicom"
        assert data.endswith(b"\r\n")
        found.append(data[:-2])
    return found


def _native_model(ds: dict[str, Any]) -> str:
    """A data set of the DICOM JSON Model as Orthanc writes it in XML, with its empty Value beside the items."""

    def attributes(of: dict[str, Any]) -> str:
        found = ""
        for tag, one in of.items():
            inner = "".join(
                f'<Item number="{number}">{attributes(value)}</Item>'
                if isinstance(value, dict)
                else f'<Value number="{number}">{value}</Value>'
                for number, value in enumerate(one["Value"], 1)
            )
            more = '<Value number="1" />' if one["vr"] == "SQ" else ""
            found += f'<DicomAttribute tag="{tag}" vr="{one["vr"]}" keyword="K">{inner}{more}</DicomAttribute>'
        return found

    space = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f'{head}\n<NativeDicomModel xmlns="{space}">{attributes(ds)}</NativeDicomModel>'


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            server.paths.append(self.path)
            server.asked.append(self.headers)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if body:
                server.parts += _parts(self.headers["Content-Type"], body)
            time.sleep(server.silent_seconds)
            write = _native_model if server.in_xml else json.dumps
            said = server.body if isinstance(server.body, str) else write(server.body)
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            kind = "xml" if server.in_xml else "json; charset=utf-8"
            self.send_header("Content-Type", f"application/dicom+{kind}")
            self.send_header("Content-Length", str(len(said.encode())))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(said.encode())

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server wants

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler


@contextlib.contextmanager
def dicomweb_server(authority: trustme.CA | None = None) -> Iterator[Server]:
    """A server that stores everything; with `authority` over TLS, by a certificate of that authority's."""
    server = Server(scheme="https" if authority else "http")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    server.port = int(listening.server_address[1])
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def authority_file(authority: trustme.CA, path: Path) -> Path:
    """The authority's certificate as `certificate_authority` wants it."""
    authority.cert_pem.write_to_path(str(path))
    return path
