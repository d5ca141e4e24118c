"""C-STORE (PS3.7 9.1.1) as its SCP: header, spool, ledger, and only then Success."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_STORE_RQ

from dicom_node.dimse_status import StoreStatus
from dicom_node.errors import LedgerError, SpoolError
from dicom_node.receiving.admission import priority_for
from dicom_node.receiving.header import HeaderRefusedError, check_command, is_uid, read_header
from dicom_node.receiving.incoming_data_set import IgnoredDataSet, IncomingDataSet
from dicom_node.receiving.intake import Intake
from dicom_node.receiving.open_association import OpenAssociation, printable
from dicom_node.receiving.spool import Spool
from dicom_node.records import ReceivedInstance
from dicom_node.settings import Settings

_ERROR_COMMENT_LENGTH = 64


class _StoreRefusedError(Exception):
    """An instance is not taken; the message is for the sender and holds nothing of the data set."""

    def __init__(self, status: StoreStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class StorageService:
    """Answers C-STORE requests; called from the threads of many associations at once."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        intake: Intake,
        clock: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        self._settings, self._spool, self._intake = settings, spool, intake
        self._clock, self._log = clock, log

    def begin_data_set(self, acceptor: Any, message: Any, association: OpenAssociation) -> BytesIO:
        """Where the data set of a request goes as it comes in: to the spool, if it is to be kept at all."""
        context = acceptor._accepted_cx.get(message.context_id)
        command = message.command_set
        sop_class_uid = str(command.get("AffectedSOPClassUID", ""))
        sop_instance_uid = str(command.get("AffectedSOPInstanceUID", ""))
        if (
            not isinstance(message, C_STORE_RQ)
            or context is None
            or context.abstract_syntax != sop_class_uid
            or sop_class_uid in association.ignored
            or not is_uid(sop_instance_uid)
        ):
            return IgnoredDataSet()
        return self._spool.begin(sop_class_uid, sop_instance_uid, str(context.transfer_syntax[0]))

    def answer(self, event: Any, association: OpenAssociation) -> Dataset | int:
        """The response to the C-STORE-RQ of a pynetdicom event: a status, with its comment if it is a refusal."""
        try:
            self._store(event, association)
        except _StoreRefusedError as refused:
            return self._refuse(association, refused.status, str(refused))
        # A sender must hear a status whatever goes wrong here, and keep its instance.
        except Exception:  # noqa: BLE001 - the top of a handler
            self._log.exception("an instance could not be taken")
            return self._refuse(association, StoreStatus.PROCESSING_FAILURE, "internal error")
        finally:
            event.request.DataSet.close()
        return int(StoreStatus.SUCCESS)

    def _store(self, event: Any, association: OpenAssociation) -> None:
        request = event.request
        sop_class_uid = str(request.AffectedSOPClassUID)
        if sop_class_uid != event.context.abstract_syntax:
            raise _StoreRefusedError(
                StoreStatus.SOP_CLASS_NOT_SUPPORTED, "SOP class is not the presentation context's"
            )
        if sop_class_uid in association.ignored:
            self._note_instance(association, StoreStatus.SUCCESS, "not kept: accept_and_ignore")
            return
        try:
            received = self._spooled(request, event.context.transfer_syntax, association)
            self._intake.register(received)
        except HeaderRefusedError as error:
            raise _StoreRefusedError(error.status, str(error)) from error
        except SpoolError as error:
            raise _StoreRefusedError(StoreStatus.OUT_OF_RESOURCES, str(error)) from error
        except LedgerError as error:
            self._log.error("the ledger did not take an instance: %s", error)
            raise _StoreRefusedError(StoreStatus.OUT_OF_RESOURCES, "not registered") from error
        association.stored += 1

    def _spooled(
        self, request: Any, transfer_syntax_uid: str, association: OpenAssociation
    ) -> ReceivedInstance:
        sop_class_uid = str(request.AffectedSOPClassUID)
        sop_instance_uid = str(request.AffectedSOPInstanceUID)
        check_command(sop_class_uid, sop_instance_uid)
        data_set = request.DataSet
        if not isinstance(data_set, IncomingDataSet):
            # It came in one PDU with its command.
            data_set = self._spool.begin(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
            data_set.write(request.DataSet.getbuffer())
        with contextlib.closing(data_set):
            self._spool.check_room()
            with data_set.reader() as reader:
                header = read_header(reader, transfer_syntax_uid, sop_class_uid, sop_instance_uid)
            spooled = self._spool.keep(sop_instance_uid, data_set)
        caller = association.caller
        return ReceivedInstance(
            id=spooled.id,
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            transfer_syntax_uid=str(transfer_syntax_uid),
            bytes_digest=spooled.bytes_digest,
            byte_count=spooled.byte_count,
            spool_path=spooled.path,
            calling_ae_title=caller.calling_ae_title,
            called_ae_title=caller.called_ae_title,
            address=caller.address,
            priority=priority_for(self._settings, caller, request.Priority),
            modality=header.modality,
            received_at=self._clock(),
        )

    def _refuse(self, association: OpenAssociation, status: StoreStatus, text: str) -> Dataset:
        association.refused += 1
        self._log.warning(
            "refused an instance of %s with %04X: %s",
            printable(association.caller.calling_ae_title), status, text,
        )  # fmt: skip
        self._note_instance(association, status, text)
        answer = Dataset()
        answer.Status = int(status)
        answer.ErrorComment = text[:_ERROR_COMMENT_LENGTH]
        return answer

    def _note_instance(self, association: OpenAssociation, status: StoreStatus, text: str) -> None:
        try:
            self._intake.note_instance(
                calling_ae_title=printable(association.caller.calling_ae_title),
                address=association.caller.address,
                at=self._clock(),
                status=int(status),
                text=text,
            )
        except LedgerError as error:
            self._log.warning("instance not noted: %s", error)
