"""Associations with other AEs: asked for, and if there is none, why and what to look at; released in order."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from dicom_node.dimse_status import Rejection
from dicom_node.errors import DestinationDownError, NothingAcceptedError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.settings import DicomDestination

_PROBE_SECONDS = 5.0
_WHERE = "look at host and port"
# A-ASSOCIATE-RJ, result: rejected-transient.
_TRANSIENT = 2
_PORT = "look at port: does its DICOM service listen there?"


@dataclass(frozen=True)
class Remote:
    """An AE to associate with."""

    ae_title: str
    host: str
    port: int
    timeout_seconds: float

    @classmethod
    def of(cls, destination: DicomDestination) -> Remote:
        """The AE of a destination."""
        return cls(
            destination.ae_title, destination.host, destination.port, destination.timeout_seconds
        )

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


def associate(
    remote: Remote,
    calling_ae_title: str,
    contexts: list[PresentationContext],
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]] = (),
) -> Association:
    """An established association; `handlers` are pynetdicom's, for what the peer asks of us on it.

    Raises:
        DestinationDownError: there is none, and why in words: no such name, refused, rejected, timed out.
        NothingAcceptedError: the peer accepted it, but none of `contexts`.
    """
    association = negotiate(remote, calling_ae_title, contexts, handlers)
    if not association.is_established:
        raise nothing_accepted(remote, calling_ae_title, contexts)
    return association


def negotiate(
    remote: Remote,
    calling_ae_title: str,
    contexts: list[PresentationContext],
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]] = (),
) -> Association:
    """An association that the peer accepted: established, or ended where it accepted none of `contexts`.

    Raises:
        DestinationDownError: there is none.
    """
    # Process-wide in pynetdicom: no dump of each PDU and message.
    _config.LOG_HANDLER_LEVEL = "none"
    ae = AE(ae_title=calling_ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    timeout = remote.timeout_seconds
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = timeout
    # An association that waits for our next object is no fault of the peer's.
    ae.network_timeout = None
    connected: list[bool] = []

    def on_open(event: Any) -> None:
        connected.append(True)
        connection = event.assoc.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Without it, a peer that stops reading would hold our sending thread for ever.
        connection.settimeout(timeout)

    try:
        association = ae.associate(
            remote.host, remote.port, contexts, ae_title=remote.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, on_open), *handlers], max_pdu=131072,
        )  # fmt: skip
    except OSError as error:
        raise _no_connection(remote, error) from error
    if association.is_established or (not association.is_rejected and association.rejected_contexts):
        return association
    raise _no_association(remote, calling_ae_title, association, bool(connected))


def nothing_accepted(
    remote: Remote, calling_ae_title: str, contexts: Sequence[PresentationContext]
) -> NothingAcceptedError:
    """That a peer accepted an association and nothing on it."""
    names = list(dict.fromkeys(UID(context.abstract_syntax).name for context in contexts))
    none = f"accepts none of {', '.join(names)}" if len(names) > 1 else f"does not accept {names[0]}"
    return NothingAcceptedError(
        f"{remote} {none}",
        f"look at ae_title and port: is that the service that takes it, and may {calling_ae_title!r} use it?",
    )


def release(association: Association) -> None:
    """Ends an association in order, if it is still there.

    pynetdicom's own waits for ever for its reactor where that ends at the same moment.
    """
    if not association.is_established:
        return
    pause(association)
    try:
        if association.is_established and association.is_alive():
            association.acse.negotiate_release()
    finally:
        association._reactor_checkpoint.set()


def pause(association: Association) -> None:
    """Stops pynetdicom's reactor, so that what comes in is ours; `_reactor_checkpoint.set()` lets it go on."""
    association._reactor_checkpoint.clear()
    while not association._is_paused and association.is_alive():
        time.sleep(0.0001)


def _no_association(
    remote: Remote, calling_ae_title: str, association: Association, connected: bool
) -> DestinationDownError:
    """Why the peer gave none, with the remedy."""
    if not connected:
        return _no_connection(remote, _probed(remote))
    answer = _rejection(association)
    if answer is not None:
        said = f"{remote} rejected the association: {answer.reason_str} ({answer.result_str})"
        return DestinationDownError(said, _remedy_of(answer, remote, calling_ae_title))
    if association._sent_abort:
        return DestinationDownError(f"{remote}: no answer within {remote.timeout_seconds:g} s", _PORT)
    return DestinationDownError(f"{remote} aborted or closed the connection before it accepted", _PORT)


def _rejection(association: Association) -> Any:
    """The peer's A-ASSOCIATE-RJ; None where it sent none.

    pynetdicom takes a peer that rejects and closes in a moment for one that was never connected: the answer then
    still lies in its queue.
    """
    if association.is_rejected:
        return association.acceptor.primitive
    answers = association.dul.to_user_queue
    while not answers.empty():
        answer = answers.get_nowait()
        if isinstance(answer, A_ASSOCIATE) and answer.result:
            return answer
    return None


def _remedy_of(answer: Any, remote: Remote, calling_ae_title: str) -> str:
    """What to do about an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    given = (answer.result_source, answer.diagnostic)
    if given == Rejection.CALLED_AE_TITLE_NOT_RECOGNISED.value[1:]:
        return f"it is not called {remote.ae_title!r}: look at ae_title; case counts"
    if given == Rejection.CALLING_AE_TITLE_NOT_RECOGNISED.value[1:]:
        return (
            f"it does not know us: enter our AE title {calling_ae_title!r} and this machine's address there, "
            "or look at calling_ae_title; case counts"
        )
    if answer.result == _TRANSIENT:
        return "it may be busy; this passes by itself"
    return "its own log says why"


def _no_connection(remote: Remote, error: OSError | None) -> DestinationDownError:
    if error is None:
        return DestinationDownError(f"{remote}: connection failed", _WHERE)
    if isinstance(error, TimeoutError):
        return DestinationDownError(f"{remote}: connection timed out", f"{_WHERE}, and at firewalls")
    words = (error.strerror or str(error)).lower()
    if isinstance(error, socket.gaierror):
        return DestinationDownError(f"{remote}: {words}", "look at host: nobody knows that name")
    refused = isinstance(error, ConnectionRefusedError)
    return DestinationDownError(f"{remote}: {words}", f"does it run? {_WHERE}" if refused else _WHERE)


def _probed(remote: Remote) -> OSError | None:
    """Why no connection comes about: pynetdicom only logs it."""
    try:
        limit = min(remote.timeout_seconds, _PROBE_SECONDS)
        socket.create_connection((remote.host, remote.port), timeout=limit).close()
    except OSError as error:
        return error
    return None
