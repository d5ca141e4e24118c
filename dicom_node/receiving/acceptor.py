"""An association acceptor that runs the Upper Layer's state machine in the association's own thread.

pynetdicom gives every association two threads that wake a thousand times a second to look at each
other's queues. Here one thread waits on the socket, turns pynetdicom's state machine (PS3.8 9.2) and
serves the DIMSE requests, so that an idle association costs nothing and a short one no waiting.
It leans on internals of pynetdicom 3; the tests of this room hold them.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import struct
from collections.abc import Callable
from io import BytesIO

from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, P_DATA

from dicom_node.receiving.receiving_socket import PDU_HEAD, ReceivingSocket
from dicom_node.records import AssociationEnding

log = logging.getLogger("dicom_node.receiving")

_READY_FOR_DATA, _AWAITING_CLOSE = "Sta6", "Sta13"
# PS3.8 9.3.5.1: a PDV's length, presentation context, control header.
_PDV_HEAD = struct.Struct(">LBB")
_P_DATA_TF = 0x04
# PS3.8 E.2, bits of a control header.
_COMMAND, _LAST = 1, 2
# After a release, rejection or abort the peer has this long to close; then we do (ARTIM's part).
_CLOSING_SECONDS = 1.0
# How long an idle association sleeps before it looks whether it was asked to end.
_LOOK_SECONDS = 0.5


BeginDataSet = Callable[["Acceptor", DIMSEMessage], BytesIO]


class Acceptor(Association):
    """One accepted connection, from A-ASSOCIATE-RQ to its end; `on_end` is called once, whatever happens.

    `begin_data_set` makes what a message's data set is written to; it is closed if the message is never served.
    """

    def __init__(
        self,
        ae: AE,
        connection: socket.socket,
        begin_data_set: BeginDataSet,
        on_end: Callable[[Acceptor], None],
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._connection, self._begin_data_set, self._on_end = connection, begin_data_set, on_end
        self._begun: DIMSEMessage | None = None
        self._asked_to_end = self._kill = self.is_aborted = False
        self._sent_abort = False
        self._ending: AssociationEnding | None = None
        self._buffer = bytearray(PDU_HEAD.size + ae.maximum_pdu_size)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._receiving_socket = ReceivingSocket(self, client_socket=connection)
        self.set_socket(self._receiving_socket)

    @property
    def byte_count(self) -> int:
        """How much came so far."""
        return self._receiving_socket.byte_count

    def how_it_ended(self) -> AssociationEnding:
        """For one that has ended; once, for it takes what the state machine had to say last."""
        if self.is_released:
            return AssociationEnding.RELEASED
        if self._ending is not None:
            return self._ending
        while not self.dul.to_user_queue.empty():
            said = self.dul.to_user_queue.get_nowait()
            if isinstance(said, A_ABORT | A_P_ABORT):
                return self._ending_by(said)
        return self._ending_by(None)

    def ask_to_end(self) -> None:
        """Has the association aborted (A-ABORT) as soon as it serves no request."""
        self._asked_to_end = True

    def cut(self) -> None:
        """Breaks the connection of an association that does not end by itself."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def run_reactor(self) -> None:
        """The thread: the whole life of the association."""
        try:
            self.dul._idle_timer.start()
            while not (self._kill or self.dul._kill_thread):
                self._run_state_machine()
                if not self._serve():
                    self._receive()
        # Whatever a peer brings about ends its own association only.
        except Exception as error:
            self._ending = _ending_of(error)
            log.exception("association ended by an error of our own")
            self._send_abort_at_once()
        finally:
            self.is_established = False
            self.cut()
            # pynetdicom forgets to where the peer was first.
            self._connection.close()
            self._drop_unserved()
            self._on_end(self)

    def _drop_unserved(self) -> None:
        if self.dimse.message is not None:
            self.dimse.message.data_set.close()
        while not self.dimse.msg_queue.empty():
            _, request = self.dimse.msg_queue.get_nowait()
            data_set = getattr(request, "DataSet", None)
            if data_set is not None:
                data_set.close()

    def _run_state_machine(self) -> None:
        """Runs every action that is due: of received PDUs, and of primitives that we issue."""
        dul = self.dul
        if dul.artim_timer.expired:
            dul.event_queue.put("Evt18")
        while not dul._kill_thread:
            try:
                event = dul.event_queue.get_nowait()
            except queue.Empty:
                if not dul._process_recv_primitive():
                    return
                continue
            dul.state_machine.do_action(event)

    def _serve(self) -> bool:
        """Answers one thing that the peer asked for; False where there is nothing to do but wait."""
        if self.dul._kill_thread or self.dul.state_machine.current_state == _AWAITING_CLOSE:
            return False
        if self.requestor.primitive is None:
            return self._negotiate()
        if not self.is_established:
            return False
        context_id, message = self.dimse.get_msg(block=False)
        if message is not None:
            self._serve_request(message, context_id)
            return True
        return self._end_if_due()

    def _negotiate(self) -> bool:
        primitive = self.dul.receive_pdu(wait=False)
        if not isinstance(primitive, A_ASSOCIATE):
            self._kill = self._kill or self._asked_to_end
            return False
        self.requestor.primitive = primitive
        evt.trigger(self, evt.EVT_REQUESTED, {})
        # A handler may have rejected the association.
        if not self.is_aborted and not self.is_rejected:
            self.acse.negotiate_association()
        return True

    def _end_if_due(self) -> bool:
        if self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self._ending = self._ending_by(self.dul.receive_pdu(wait=False))
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if self._asked_to_end or self.dul.idle_timer_expired():
            stopped = self._asked_to_end
            self._ending = AssociationEnding.STOPPED if stopped else AssociationEnding.TIMED_OUT
            self.abort()
            return True
        return False

    def _ending_by(self, said: A_ABORT | A_P_ABORT | None) -> AssociationEnding:
        """What an indication of the state machine means (PS3.8 9.2.3, AA-3, AA-4, AA-8)."""
        if isinstance(said, A_ABORT):
            return AssociationEnding.ABORTED
        # `cut` looks like a line that breaks.
        if self._asked_to_end:
            return AssociationEnding.STOPPED
        broke = self._sent_abort or (said is not None and said.provider_reason)
        return AssociationEnding.PROTOCOL if broke else AssociationEnding.LOST

    def _receive(self) -> None:
        """Waits a while for the next PDU and reads it."""
        dul = self.dul
        if dul._kill_thread or dul.socket.socket is None:
            return
        closing = dul.state_machine.current_state == _AWAITING_CLOSE
        if self._poll.poll(1000 * (_CLOSING_SECONDS if closing else _LOOK_SECONDS)):
            if not self._read_data_set():
                dul._read_pdu_data()
            dul._idle_timer.restart()
        elif closing:
            dul.socket.close()

    def _read_data_set(self) -> bool:
        """Reads a P-DATA-TF PDU that goes on with a data set straight into it; False leaves the PDU unread.

        This is what most bytes pass through; pynetdicom's own way copies each of them five times more.
        """
        message = self.dimse.message
        if (
            message is None
            or message.context_id is None
            or self.dul.state_machine.current_state != _READY_FOR_DATA
        ):
            return False
        kind, length = self.dul.socket.next_pdu()
        if kind != _P_DATA_TF or length > len(self._buffer):
            return False
        with memoryview(self._buffer)[: PDU_HEAD.size + length] as pdu:
            if self.dul.socket.recv_into(pdu) < len(pdu):
                self.dul.event_queue.put("Evt17")
            elif not self._append(message, pdu[PDU_HEAD.size :]):
                self.dul.event_queue.put("Evt19")
        return True

    def _append(self, message: DIMSEMessage, items: memoryview) -> bool:
        """Appends the PDVs of a PDU to the data set; False where they are not its continuation."""
        at = 0
        while at < len(items):
            if len(items) - at < _PDV_HEAD.size:
                return False
            length, context_id, control = _PDV_HEAD.unpack_from(items, at)
            end = at + 4 + length
            if length < 2 or end > len(items) or context_id != message.context_id:
                return False
            if control & _COMMAND:
                return False
            if message is not self._begun:
                self._begun = message
                # What came in one PDU with its command is in memory already, and stays there.
                if not message.data_set.tell():
                    message.data_set = self._begin_data_set(self, message)
            message.data_set.write(items[at + _PDV_HEAD.size : end])
            at = end
            if control & _LAST:
                self._complete(context_id)
                return bool(at == len(items))
        return True

    def _complete(self, context_id: int) -> None:
        # An empty last fragment has pynetdicom put the message together.
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, bytes([_LAST])]]
        self.dimse.receive_primitive(primitive)

    def _abort_blocking(self, block: bool = True) -> None:
        # pynetdicom's own waits for its second thread to send the PDU; here the loop above sends it.
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = True
        self.acse.send_abort(0x00)
        evt.trigger(self, evt.EVT_ABORTED, {})

    def _send_abort_at_once(self) -> None:
        pdu = A_ABORT_RQ()
        pdu.source, pdu.reason_diagnostic = 0x02, 0x00
        self.is_aborted = True
        with contextlib.suppress(Exception):
            self.dul.socket.send(pdu.encode())


def _ending_of(error: Exception) -> AssociationEnding:
    if isinstance(error, TimeoutError):
        return AssociationEnding.TIMED_OUT
    return AssociationEnding.LOST if isinstance(error, OSError) else AssociationEnding.FAILED
