"""The transport connection of an association that receives."""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

from pynetdicom.transport import AssociationSocket

# PS3.8 9.3.1: type, reserved, length.
PDU_HEAD: Final = struct.Struct(">BxL")
# A longer PDU is nobody's we talk to: peers are told our maximum, and a request is some kilobytes.
_LONGEST_PDU = 2 * 1024 * 1024


class ReceivingSocket(AssociationSocket):
    """A transport connection that reads a PDU in few calls and does not wait for ever in the midst of one.

    `byte_count` is all that it read.
    """

    byte_count = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """The next `nr_bytes` bytes, or fewer where the peer closed.

        Raises:
            OSError: they did not arrive within the network timeout, or no PDU of ours is so long.
        """
        received = bytearray(min(nr_bytes, _LONGEST_PDU))
        with memoryview(received) as view:
            count = self.recv_into(view)
        del received[count:]
        if count < nr_bytes and count == _LONGEST_PDU:
            raise ConnectionError("PDU longer than is read")
        return received

    def recv_into(self, view: memoryview) -> int:
        """Fills `view`; how many bytes that were, fewer than its length where the peer closed.

        Raises:
            OSError: they did not arrive within the network timeout.
        """
        if self.socket is None:
            raise ConnectionError("connection closed")
        count, give_up = 0, time.monotonic() + (self.assoc.network_timeout or 60)
        while count < len(view):
            more = self.socket.recv_into(view[count:])
            count += more
            if not more or time.monotonic() > give_up:
                break
        self.byte_count += count
        return count

    def next_pdu(self) -> tuple[int, int]:
        """Type and length of the PDU that is there to be read, which stays there; (0, 0) if not known yet."""
        head = self.socket.recv(PDU_HEAD.size, socket.MSG_PEEK) if self.socket else b""
        if len(head) < PDU_HEAD.size:
            return 0, 0
        kind, length = PDU_HEAD.unpack(head)
        return kind, length
