"""The listening socket: every connection becomes an association in a thread of its own."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from socketserver import TCPServer
from typing import Any

from pynetdicom import AE
from pynetdicom.transport import AssociationServer, RequestHandler

from dicom_node.errors import SettingsError
from dicom_node.receiving.acceptor import Acceptor, BeginDataSet

log = logging.getLogger("dicom_node.receiving")


class AcceptorHandler(RequestHandler):
    """Makes an `Acceptor` of an accepted connection."""

    server: StorageServer

    def handle(self) -> None:
        """Starts the association's thread."""
        acceptor = self._create_association()
        self.server.note_open(acceptor)
        acceptor.start()

    def _create_association(self) -> Acceptor:
        connection: socket.socket = self.request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # An accepted socket has no timeout of its own: without one a peer that stalls keeps its thread.
        connection.settimeout(self.ae.network_timeout)
        acceptor = Acceptor(self.ae, connection, self.server.begin_data_set, self.server.note_end)
        acceptor._server = self.server
        acceptor.name = f"AcceptorThread@{self.client_address[0]}"
        acceptor.acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.acceptor.ae_title = self.server.ae_title
        acceptor.acceptor.address_info = self.local
        acceptor.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.requestor.address_info = self.remote
        for event, handler in self.server.handlers:
            acceptor.bind(event, handler)
        return acceptor


class StorageServer(AssociationServer):
    """Accepts connections until it is shut down; knows the associations that are open.

    Raises:
        SettingsError: the port is taken, or the address is none of this machine's.
    """

    # pynetdicom's 5 has the system drop the connections of a modality's burst, for a second each.
    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        address: str,
        port: int,
        handlers: Sequence[tuple[Any, Callable[[Any], Any]]],
        begin_data_set: BeginDataSet,
        connection_limit: int,
    ) -> None:
        self.handlers, self._connection_limit = handlers, connection_limit
        self.begin_data_set = begin_data_set
        self._open: set[Acceptor] = set()
        self._lock = threading.Lock()
        self._ended: Callable[[Acceptor], None] = lambda _: None
        try:
            super().__init__(ae, (address, port), ae.ae_title, [], request_handler=AcceptorHandler)
        except OSError as error:
            raise SettingsError(_remedy(address, port, error)) from error
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.2,), name="storage-scp", daemon=True
        )

    def start(self, on_end: Callable[[Acceptor], None]) -> None:
        """Begins to accept; `on_end` hears of every connection that ended."""
        self._ended = on_end
        self._thread.start()

    def close(self) -> None:
        """Accepts no further connection; the open associations go on."""
        if self._thread.is_alive():
            # pynetdicom's own shutdown looks for this server in its AE, which does not know it.
            TCPServer.shutdown(self)
            self._thread.join()
        self.server_close()

    @property
    def open_connections(self) -> list[Acceptor]:
        """The connections that are open now, those still in negotiation included."""
        with self._lock:
            return list(self._open)

    def note_open(self, acceptor: Acceptor) -> None:
        """A connection is about to get its thread."""
        with self._lock:
            self._open.add(acceptor)

    def note_end(self, acceptor: Acceptor) -> None:
        """A connection's thread is about to end."""
        with self._lock:
            self._open.discard(acceptor)
        self._ended(acceptor)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is a thread for one more connection: peers that connect and say nothing get so many."""
        return len(self.open_connections) < self._connection_limit

    def service_actions(self) -> None:
        """Nothing: pynetdicom collects all garbage here at every sixtieth connection."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that could not be made an association."""
        log.exception("a connection could not be taken")


def _remedy(address: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"node.port = {port}: taken on {address}; stop what listens there or choose another port"
    if error.errno == errno.EACCES:
        return f"node.port = {port}: not permitted; choose a port from 1024 on"
    return f"node.address = {address!r}: cannot listen there: {error.strerror or error}"
