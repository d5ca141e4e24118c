"""A small archive for the demo and the tests: a Storage SCP that writes what it gets into a folder."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pynetdicom import AE, _config, evt

from dicom_node.dimse_status import StoreStatus
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_CLASS = "1.2.840.10008.5.1.4.1.1"
KINDS: Final[dict[str, str]] = {
    f"{_CLASS}.7": "sc",
    f"{_CLASS}.88.22": "sr",
    f"{_CLASS}.88.33": "sr",
    f"{_CLASS}.88.34": "sr",
    f"{_CLASS}.1": "cr",
    f"{_CLASS}.1.1": "dx",
}
VERIFICATION: Final = "1.2.840.10008.1.1"
_NATIVE = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]


@dataclass(frozen=True)
class Arrival:
    """An object that came, and the file it lies in."""

    path: Path
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    calling_ae_title: str


class SmallArchive:
    """Accepts SC, SR, CR and DX from anyone who reaches `address`, and C-ECHO; for a `with`, or start and stop.

    File names are numbers and our own word for the kind: nothing of the wire gets into them. It keeps
    everything and guards nothing: not for service.
    """

    def __init__(
        self,
        folder: Path,
        ae_title: str = "ARCHIVE",
        address: str = "127.0.0.1",
        port: int = 0,
        sop_classes: frozenset[str] = frozenset(KINDS),
        transfer_syntaxes: tuple[str, ...] = tuple(_NATIVE),
        status: int = StoreStatus.SUCCESS,
    ) -> None:
        self._folder, self._address, self._asked_port = folder, address, port
        self._status = int(status)
        self._arrivals: list[Arrival] = []
        self._arrived = threading.Condition()
        self._server: Any = None
        self._ae = AE(ae_title=ae_title)
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._ae.require_called_aet = True
        self._ae.add_supported_context(VERIFICATION, _NATIVE)
        for uid in sorted(sop_classes):
            self._ae.add_supported_context(uid, list(transfer_syntaxes))

    def start(self) -> None:
        """Begins to accept.

        Raises:
            OSError: the port is taken.
        """
        # Process-wide in pynetdicom: no dump of each PDU and message.
        _config.LOG_HANDLER_LEVEL = "none"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = self._ae.start_server(
            (self._address, self._asked_port), block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._on_store)],
        )  # fmt: skip

    def stop(self) -> None:
        """Aborts what is open and accepts no more."""
        if self._server is not None:
            self._ae.shutdown()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port that it listens on; the one asked for while it is not started."""
        return int(self._server.server_address[1]) if self._server else self._asked_port

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """What came so far, in order."""
        with self._arrived:
            return tuple(self._arrivals)

    def wait_for(self, count: int, seconds: float) -> tuple[Arrival, ...]:
        """What came once at least `count` objects have, or after so many seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._arrivals) >= count, seconds)
            return tuple(self._arrivals)

    def _on_store(self, event: Any) -> int:
        if self._status != StoreStatus.SUCCESS:
            return self._status
        sop_class_uid = str(event.request.AffectedSOPClassUID)
        kind = KINDS.get(sop_class_uid, "other")
        with self._arrived:
            path = self._folder / f"{len(self._arrivals) + 1}_{kind}.dcm"
            path.write_bytes(event.encoded_dataset())
            self._arrivals.append(
                Arrival(
                    path=path,
                    kind=kind,
                    sop_class_uid=sop_class_uid,
                    sop_instance_uid=str(event.request.AffectedSOPInstanceUID),
                    calling_ae_title=str(event.assoc.requestor.ae_title).strip(),
                )
            )
            self._arrived.notify_all()
        return self._status
