"""Asking an archive to take responsibility for what it stored: N-ACTION, and its answer if it comes at once."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from typing import Any, Final

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.delivering.association import Remote, associate, pause, release
from dicom_node.delivering.storage_scu import NATIVE
from dicom_node.dimse_status import StoreStatus
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.settings import DicomDestination
from dicom_node.storage_commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_ACTION,
    CommitmentRequest,
    EventStatus,
    TakeAnswer,
    take_report,
)

# So long the association stays open for an answer; a later one comes on an association of the archive's own.
ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS = 0.01


def ask_for_commitment(
    destination: DicomDestination,
    calling_ae_title: str,
    request: CommitmentRequest,
    take: TakeAnswer,
    answer_seconds: float = ANSWER_SECONDS,
) -> None:
    """Asks, and waits `answer_seconds` for the report; `take` keeps it.

    Raises:
        DestinationDownError: no association, no response, or it broke.
        ObjectRefusedError: the archive refused the request; `status` is its answer.
    """
    remote = Remote.of(destination)
    answered = threading.Event()

    def on_report(event: Any) -> tuple[int, None]:
        status = take_report(event, take)
        if status is EventStatus.SUCCESS:
            answered.set()
        return int(status), None

    contexts = [build_context(PUSH_MODEL, list(NATIVE))]
    association = associate(remote, calling_ae_title, contexts, [(evt.EVT_N_EVENT_REPORT, on_report)])
    # From here on nothing is left to pynetdicom's reactor: it would serve a report beside us.
    pause(association)
    try:
        _send(association, remote, request)
        _listen(association, answered, answer_seconds)
    finally:
        association._reactor_checkpoint.set()
        release(association)


def _send(association: Association, remote: Remote, request: CommitmentRequest) -> None:
    """Sends the request and waits for its response; a report that comes before it is served meanwhile."""
    context = association.accepted_contexts[0]
    association.dimse.send_msg(_message(context, request), context.context_id)
    context_id, response = association.dimse.get_msg(block=True)
    while isinstance(response, N_EVENT_REPORT) and response.is_valid_request:
        association._serve_request(response, context_id)
        context_id, response = association.dimse.get_msg(block=True)
    if response is None:
        association._handle_no_response()
    if response is None or not response.is_valid_response:
        raise DestinationDownError(f"{remote}: no answer to the request for storage commitment")
    status = int(response.Status)
    if status != StoreStatus.SUCCESS:
        raise ObjectRefusedError(
            f"{remote} refused the request for storage commitment, status 0x{status:04X}", status
        )


def _listen(association: Association, answered: threading.Event, seconds: float) -> None:
    """Serves what comes until the report did, the archive leaves, or time is over."""
    until = time.monotonic() + seconds
    while not answered.is_set() and time.monotonic() < until:
        context_id, message = association.dimse.get_msg(block=False)
        if message is not None:
            association._serve_request(message, context_id)
        elif _has_left(association):
            return
        else:
            time.sleep(_LOOK_SECONDS)


def _has_left(association: Association) -> bool:
    """Whether the archive ends the association; pynetdicom's reactor sees to it afterwards."""
    acse = association.acse
    return bool(acse.is_release_requested() or acse.is_aborted() or not association.is_alive())


def _message(context: PresentationContext, request: CommitmentRequest) -> N_ACTION:
    syntax = context.transfer_syntax[0]
    message = N_ACTION()
    message.MessageID = 1
    message.RequestedSOPClassUID = PUSH_MODEL
    message.RequestedSOPInstanceUID = PUSH_MODEL_INSTANCE
    message.ActionTypeID = REQUEST_ACTION
    information = encode(request.action_information(), syntax.is_implicit_VR, True)
    message.ActionInformation = BytesIO(information or b"")
    return message
