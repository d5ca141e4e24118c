"""Archives that a sender meets: DCMTK's storescp, our own small one, and places where nobody is."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from dicom_node.settings import DicomDestination
from tests.real_parts import program


@dataclass(frozen=True)
class Storescp:
    """A running storescp: its port, and the folder it writes to."""

    port: int
    folder: Path

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def destination(port: int, **more: Any) -> DicomDestination:
    """A destination on this machine."""
    return DicomDestination.model_validate(
        {
            "name": "archive",
            "ae_title": "ARCHIVE",
            "host": "127.0.0.1",
            "port": port,
            "timeout_seconds": 5,
            **more,
        }
    )


@contextlib.contextmanager
def storescp(folder: Path, *flags: str) -> Iterator[Storescp]:
    """DCMTK's archive, keeping the bit stream as it came."""
    folder.mkdir()
    port = free_port()
    command = [program("storescp"), "+B", "-od", str(folder), *flags, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield Storescp(port, folder)
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A port where somebody accepts a connection and says these bytes and closes, or (None) says nothing."""
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                kept.append(connection)
                if answer is not None:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for connection in kept:
            connection.close()


def association_accept(result: int) -> bytes:
    """An A-ASSOCIATE-AC that rejects the one context that was proposed, with this result (PS3.8 9.3.3)."""
    context = A_ASSOCIATE()
    context.application_context_name = "1.2.840.10008.3.1.1.1"
    context.calling_ae_title, context.called_ae_title = "ME", "ARCHIVE"
    context.result, context.result_source = 0, 1
    answered = build_context("1.2.840.10008.1.1")
    answered.context_id, answered.result = 1, result
    context.presentation_context_definition_results_list = [answered]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = "1.2.3"
    context.user_information = [length, implementation]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(context)
    return bytes(pdu.encode())
