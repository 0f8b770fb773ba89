"""pynetdicom's upper layer with its own way of receiving: one buffer, bounded PDUs, and no polling.

Written against pynetdicom 3.0.4, whose private seams it uses; before another version is taken, compare `dul.run_reactor`,
`dul._read_pdu_data`, `fsm.DT_2` and `dimse.receive_primitive`. What differs, and why:

- The library reads 4 KB at a time into a growing bytearray, copies each PDU three times, and offers 16 KB PDUs. Here the
  socket is read into one buffer (`scp.pdu`), pieces of the data set go from it straight into the message, and the PDU length
  is unlimited, with a bound of our own on what is announced and on what one object may gather.
- The library's read blocks until a PDU is whole, so that a peer that stops in the middle holds thread and slot. Here a read
  takes what is there; the timers run on.
- The library's thread sleeps a millisecond between looks, which doubles the time of a small image and keeps idle
  associations busy. Here it waits for the socket or for a primitive.
- It goes on reading while an image is being stored, so that a fast peer fills the memory. Here the next object waits in
  the socket.
- It hands every message to the association's thread and back. A C-STORE is answered from the thread that received it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from scp import proxy, titles
from scp.command import StoreRequest, read_store_request, store_answer
from scp.pdu import Control, Fragment, PduReader, ProtocolError

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.1  # how late a timer may be noticed; everything else rings the bell
_LINGER_SECONDS = 0.5  # after the last word, what a peer still sends is thrown away for this long
_DISCARD_BYTES = 1 << 16
_MAX_COMMAND_BYTES = 1 << 16
_MAX_UID_CHARACTERS = 64


# Message, presentation context, data set → status and comment
Store = Callable[[StoreRequest, int, BytesIO], tuple[int, str]]


class OversizedObject(BytesIO):
    """Stands for a data set that grew beyond the bound and was thrown away; the sender is told when it ends."""


class Bell:
    """Wakes a thread that waits for a socket."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        if self._fd is None:
            raise ValueError("the bell is closed")
        return self._fd

    def ring(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.eventfd_write(self._fd, 1)

    def hush(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.eventfd_read(self._fd)

    def close(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


class BufferedSocket(AssociationSocket):
    """Receives into one buffer that is made once."""

    def __init__(self, assoc: Association, client_socket: socket.socket, *, reader: PduReader, bell: Bell) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self.reader = reader
        self._bell = bell

    def wait(self, seconds: float, *, for_data: bool = True) -> bool:
        """Until data, the bell or the time comes; True when there are data (or the end of them) to read."""
        if self.socket is None or not self._is_connected:
            return False
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if for_data:
            poll.register(self.socket.fileno(), select.POLLIN)
        ready = dict(poll.poll(seconds * 1000))
        if self._bell.fileno() in ready:
            self._bell.hush()
        return for_data and self.socket.fileno() in ready

    def receive(self) -> int:
        """Take what is there into the reader; 0 at the end of the stream. OSError when the connection broke."""
        if self.socket is None:
            return 0
        count = self.socket.recv_into(self.reader.space())
        # DCMTK writes a request in pieces and holds back the next until the last is acknowledged, which Linux delays by
        # 40 ms (46 ms an image instead of 4); the kernel forgets this option again and again.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.reader.filled(count)
        return count

    def cut(self) -> None:
        """End the connection; the thread that reads it finds its end."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # the peer may be gone already
                self.socket.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # the peer may be gone already
                self.socket.shutdown(socket.SHUT_WR)

    def discard(self, seconds: float) -> bool:
        """Throw away what comes within this time; False when the peer has closed."""
        if not self.wait(seconds):
            return self.socket is not None
        try:
            return bool(self.socket is not None and self.socket.recv(_DISCARD_BYTES))
        except OSError:
            return False


class UpperLayer(DULServiceProvider):
    """The state machine's thread, fed by the reader.

    wake: lets the association look at the queues. store: called from this thread.
    proxied: what connected is a trusted proxy, which may say for whom.
    """

    def __init__(
        self,
        assoc: Association,
        *,
        peer_host: str,
        max_object_bytes: int,
        wake: Callable[[], None],
        store: Store,
        proxied: bool,
    ) -> None:
        super().__init__(assoc)
        self.peer_host = peer_host
        self.hidden = proxied  # until the proxy's header says otherwise
        self._header_may_come = proxied
        self._wake = wake
        self._store = store
        self.is_storing = False  # for so long the peer's silence is none
        self._command = bytearray()
        self._request: StoreRequest | None = None  # whose data set is being received
        self._data_set = BytesIO()
        self.daemon = True
        self._run_loop_delay = 0  # the waiting is done in `_is_transport_event`
        self._max_object_bytes = max_object_bytes
        self._unread = False  # the reader may hold more that can be taken without receiving
        self._linger_until: float | None = None
        self.bell = Bell()
        self.titles: titles.Titles | None = None

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001  the state machine raises on what its table does not foresee
            log.warning("association aborted", peer=self.peer_host, reason=type(error).__name__)
        finally:
            # A peer that leaves before it asked for anything would otherwise be waited for until the time-out.
            self.to_user_queue.put(None)  # what receive_pdu returns after a time-out
            self._wake()
            self.bell.close()
            cast(BufferedSocket, self.socket).reader.close()

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        self.bell.ring()

    def stop_dul(self) -> bool:
        if self.state_machine.current_state != "Sta1":
            return False
        self._kill_thread = True
        self.bell.ring()
        self.join()
        return True

    def _send(self, pdu: Any) -> None:
        if isinstance(pdu, A_ASSOCIATE_AC) and self.titles is not None and self.socket is not None:
            answer = bytearray(pdu.encode())
            answer[titles.TITLES] = self.titles.fields
            self.socket.send(bytes(answer))
        else:
            super()._send(pdu)

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        if bytestream[0] == titles.ASSOCIATE_RQ and self.titles is None:
            self.titles = titles.read(bytestream)
            if self.titles is not None:
                bytestream = titles.decodable(bytestream, self.titles)
        return super()._decode_pdu(bytestream)

    def _is_transport_event(self) -> bool:
        """Called by the run loop when no primitive waits to be sent; True restarts the idle timer."""
        if self.to_user_queue.qsize():
            self._wake()
        if not self.event_queue.empty():
            return False
        connection = cast(BufferedSocket, self.socket)
        if self.state_machine.current_state == "Sta13":
            self._linger(connection)
            return True
        if not self.assoc.dimse.msg_queue.empty():
            connection.wait(_LOOK_SECONDS, for_data=False)  # one object at a time; the rest waits in the socket
            return False
        if self._unread:
            self._unread = False
            self._take()
            return False
        if not connection.wait(_LOOK_SECONDS):
            return False
        try:
            if not connection.receive():
                self.event_queue.put("Evt17")
                return False
        except OSError:
            self.event_queue.put("Evt17")
            return False
        self._take()
        return True

    def _linger(self, connection: BufferedSocket) -> None:
        """The last word is said: let the peer read it before the connection closes, whatever it still sends meanwhile."""
        if self._linger_until is None:
            self._linger_until = time.monotonic() + _LINGER_SECONDS
            connection.finish()
        left = self._linger_until - time.monotonic()
        if left <= 0 or not connection.discard(min(left, _LOOK_SECONDS)):
            connection.close()

    def _take(self) -> None:
        """Hand on what the reader holds; stops after anything that has to be acted on first."""
        reader = cast(BufferedSocket, self.socket).reader
        try:
            if self._header_may_come and not self._take_proxy_header(reader):
                return
            while (unit := reader.next()) is not None:
                if isinstance(unit, Control):
                    self._unread = True
                    self._take_control(unit)
                    return
                if self.state_machine.current_state != "Sta6":
                    self.event_queue.put("Evt10")  # data before or after their time: the state machine aborts
                    return
                if self._take_fragment(unit):
                    self._unread = True
                    return
        except ProtocolError as error:
            log.warning("association aborted", peer=self.peer_host, reason=str(error))
            self.event_queue.put("Evt19")

    def _take_proxy_header(self, reader: PduReader) -> bool:
        """False while its end has not come."""
        start = bytes(reader.peek())
        if start[:1] == proxy.SIGNATURE[:1]:
            header = proxy.read_header(start)
            if header is None:
                return False
            reader.skip(header.length)
            self.peer_host = header.source or self.peer_host
            self.hidden = header.source is None and not header.local
        self._header_may_come = False
        return True

    def _take_control(self, unit: Control) -> None:
        try:
            pdu, event = self._decode_pdu(unit.data)
        except Exception as error:  # the library's decoders raise anything on bytes that are no PDU
            raise ProtocolError(f"a PDU of type 0x{unit.data[0]:02X} cannot be decoded ({type(error).__name__})") from error
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def _take_fragment(self, fragment: Fragment) -> bool:
        """True when a message is complete. Pieces of a data set go straight into it."""
        message = self.assoc.dimse.message
        if fragment.is_command:
            if self._request is not None or message is not None:
                raise ProtocolError("a command came before the data set of the last one ended")
            if len(self._command) + len(fragment.data) > _MAX_COMMAND_BYTES:
                raise ProtocolError("a command is too long")
            self._command += fragment.data
            return fragment.last and self._take_command(fragment)
        if self._request is not None:
            self._data_set = self._gathered(self._data_set, fragment)
            if fragment.last:
                self._answer(self._request, fragment.context_id)
            return fragment.last
        if message is None:
            raise ProtocolError("a data set came without a command")
        message.data_set = self._gathered(message.data_set or BytesIO(), fragment)
        if fragment.last:
            self._hand_on(fragment, b"")
        return fragment.last

    def _take_command(self, fragment: Fragment) -> bool:
        command, self._command = bytes(self._command), bytearray()
        self._request = read_store_request(command)
        if self._request is not None:
            return False
        self._hand_on(fragment, command)
        return self.assoc.dimse.message is None

    def _gathered(self, data_set: BytesIO, fragment: Fragment) -> BytesIO:
        if isinstance(data_set, OversizedObject) or data_set.tell() + len(fragment.data) > self._max_object_bytes:
            return OversizedObject()
        data_set.write(fragment.data)
        return data_set

    def _answer(self, request: StoreRequest, context_id: int) -> None:
        data_set, self._data_set, self._request = self._data_set, BytesIO(), None
        self.is_storing = True
        try:
            status, comment = self._store(request, context_id, data_set)
        finally:
            self._idle_timer.restart()
            self.is_storing = False
        cast(BufferedSocket, self.socket).send(store_answer(request, context_id, status, comment))

    def _hand_on(self, fragment: Fragment, data: bytes) -> None:
        """To the library: a whole command, or the end of a data set that it has already."""
        message = self.assoc.dimse.message
        if message is not None and message.context_id is not None:
            _drop_unusable_uids(message.command_set)
        primitive = P_DATA()
        control = fragment.is_command | fragment.last << 1
        # pynetdicom 3.0.4 declares a list of tuples and takes a list of lists alone.
        values: list[Any] = [[fragment.context_id, bytes((control,)) + data]]
        primitive.presentation_data_value_list = values
        try:
            self.assoc.dimse.receive_primitive(primitive)
        except Exception as error:  # the library decodes the command here, and raises anything on one that is none
            raise ProtocolError(f"a command cannot be decoded ({type(error).__name__})") from error


def _drop_unusable_uids(command: Dataset) -> None:
    """The library aborts on a UID of more than 64 characters; without it, the request can be answered with a failure."""
    for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
        if len(str(command.get(keyword) or "")) > _MAX_UID_CHARACTERS:
            del command[keyword]
