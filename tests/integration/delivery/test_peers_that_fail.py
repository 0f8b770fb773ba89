"""Peers that refuse, hang, break off or stall: what is said of them, and how long they may take."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import dx_file, uid
from odd_peers import LONG_SECONDS, SHORT_SECONDS, Kept, at_most, body, listening, scp
from pynetdicom import AE, evt

from delivery.association import AssociationLost
from delivery.echo import echo
from delivery.store import StoreResult, StoreState, send_document, store
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Peer


def test_an_unknown_calling_title_is_refused_for_good_with_what_to_do(tmp_path: Path) -> None:
    def prepare(entity: AE) -> None:
        entity.require_calling_aet = ["DRROOM1"]

    with scp((evt.EVT_C_STORE, Kept()), prepare=prepare) as peer, pytest.raises(PeerRefused) as refusal:
        send_document(dx_file(tmp_path / "a.dcm"), peer, timeout_seconds=LONG_SECONDS)
    assert str(refusal.value) == (
        f"PACS at 127.0.0.1:{peer.port} refused the association: "
        "it does not know the calling AE title HOUNDSFIELD; add it there"
    )


def test_an_unknown_called_title_is_refused_for_good_with_what_to_do() -> None:
    def prepare(entity: AE) -> None:
        entity.require_called_aet = True

    with scp(prepare=prepare) as peer:
        wrong = Peer(ae_title="ARCHIVE", host=peer.host, port=peer.port)
        with pytest.raises(PeerRefused, match="does not answer to the AE title ARCHIVE; check ae_title"):
            echo(wrong, timeout_seconds=LONG_SECONDS)


def test_a_full_peer_is_unavailable_for_now() -> None:
    def reject(event: Any) -> None:
        event.assoc.acse.send_reject(0x02, 0x03, 0x02)
        event.assoc.kill()

    full = pytest.raises(PeerUnavailable, match="for now: it has as many associations as it allows")
    with scp((evt.EVT_REQUESTED, reject)) as peer, full:
        echo(peer, timeout_seconds=LONG_SECONDS)


def test_nobody_listening_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with at_most(0), pytest.raises(PeerUnavailable, match=f"PACS at 127.0.0.1:{port} refused the connection"):
        echo(Peer(ae_title="PACS", host="127.0.0.1", port=port), timeout_seconds=LONG_SECONDS)


def test_an_unknown_host_name_is_said() -> None:
    with pytest.raises(PeerUnavailable, match=r"host name 'pacs\.invalid' is not known"):
        echo(Peer(ae_title="PACS", host="pacs.invalid", port=104), timeout_seconds=LONG_SECONDS)


def test_a_host_name_is_resolved() -> None:
    with scp() as peer:
        echo(Peer(ae_title="PACS", host="localhost", port=peer.port), timeout_seconds=LONG_SECONDS)


def test_a_black_hole_costs_no_more_than_the_time_out() -> None:
    """Linux drops further connection requests once the queue of a listener that never accepts is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = [socket.socket() for _ in range(2)]
        try:
            for waiting in queued:
                waiting.setblocking(False)
                waiting.connect_ex(address)
            with at_most(SHORT_SECONDS), pytest.raises(PeerUnavailable, match=r"did not take the connection within 0\.4 s"):
                echo(Peer(ae_title="PACS", host="127.0.0.1", port=address[1]), timeout_seconds=SHORT_SECONDS)
        finally:
            for waiting in queued:
                waiting.close()


def _silence(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _half_an_answer(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x02\x00" + (200).to_bytes(4, "big") + bytes(10))
    _silence(connection)


def _an_answer_in_drops(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x02\x00" + (60_000).to_bytes(4, "big"))
    while True:
        try:
            connection.sendall(b"\0")
        except OSError:
            return
        time.sleep(0.05)


@pytest.mark.parametrize("serve", [_silence, _half_an_answer, _an_answer_in_drops])
def test_a_peer_that_takes_the_connection_and_never_answers_costs_no_more_than_the_limit(
    serve: Callable[[socket.socket], None],
) -> None:
    with listening(serve) as peer, at_most(2 * SHORT_SECONDS), pytest.raises(PeerUnavailable, match="did not answer within"):
        echo(peer, timeout_seconds=SHORT_SECONDS)


def test_something_else_on_the_port_is_said() -> None:
    def http(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(http) as peer, at_most(0), pytest.raises(PeerUnavailable, match="check that it speaks DICOM"):
        echo(peer, timeout_seconds=LONG_SECONDS)


# Associations that break


def test_a_peer_that_takes_the_data_and_never_answers_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    over = threading.Event()

    def hang(_event: Any) -> int:
        over.wait(LONG_SECONDS)
        return 0x0000

    with scp((evt.EVT_C_STORE, hang)) as peer:
        with at_most(SHORT_SECONDS), pytest.raises(AssociationLost, match=r"did not answer within 0\.4 s"):
            send_document(dx_file(tmp_path / "a.dcm"), peer, timeout_seconds=SHORT_SECONDS)
        over.set()


def test_a_peer_that_stops_reading_in_the_middle_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", pixels=np.zeros((4000, 4000), np.uint16))  # more than all buffers hold
    over = threading.Event()

    def stop_reading(event: Any) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            over.wait(LONG_SECONDS)

    with scp((evt.EVT_PDU_RECV, stop_reading)) as peer:
        with at_most(SHORT_SECONDS), pytest.raises(AssociationLost, match="stopped taking data"):
            send_document(path, peer, timeout_seconds=SHORT_SECONDS)
        over.set()


@pytest.mark.parametrize(("pdu_bytes", "seconds_per_pdu"), [(16382, 0.003), (0, 0.12)])
def test_a_slow_peer_is_waited_for_as_long_as_it_makes_progress(
    tmp_path: Path, pdu_bytes: int, seconds_per_pdu: float
) -> None:
    """The data takes longer than the time-out, in many small PDUs or few large ones."""
    rows = 2000 if pdu_bytes else 4000
    path = dx_file(tmp_path / "a.dcm", pixels=np.zeros((rows, 2000), np.uint16))
    kept = Kept()

    def slow(event: Any) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            time.sleep(seconds_per_pdu)

    def prepare(entity: AE) -> None:
        entity.maximum_pdu_size = pdu_bytes

    with scp((evt.EVT_PDU_RECV, slow), (evt.EVT_C_STORE, kept), prepare=prepare) as peer:
        started = time.monotonic()
        result = send_document(path, peer, timeout_seconds=1.2)
    assert time.monotonic() - started > 1.2
    assert result.state is StoreState.STORED and kept.data_sets == [body(path)]


def test_an_abort_after_the_data_leaves_the_fate_open_and_names_the_file(tmp_path: Path) -> None:
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n) for n in range(3)]
    heard: list[StoreResult] = []

    def abort_at_second(event: Any) -> int:
        if event.request.AffectedSOPInstanceUID == uid("instance", 1, 1, 1):
            event.assoc.abort()
        return 0x0000

    lost = pytest.raises(AssociationLost, match=r"closed the association.*is not known")
    with scp((evt.EVT_C_STORE, abort_at_second)) as peer, at_most(0), lost:
        store(paths, peer, timeout_seconds=LONG_SECONDS, stored=lambda _path, result: heard.append(result))
    assert [result.path for result in heard] == paths[:1]


def test_a_connection_cut_in_the_middle_of_the_data_is_noticed_at_once(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", pixels=np.zeros((2000, 2000), np.uint16))

    def cut(event: Any) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    with scp((evt.EVT_PDU_RECV, cut)) as peer, at_most(0), pytest.raises(AssociationLost, match="closed the association"):
        send_document(path, peer, timeout_seconds=LONG_SECONDS)


def test_no_thread_is_left_behind_by_peers_that_hang(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with listening(_silence) as peer, pytest.raises(PeerUnavailable):
        echo(peer, timeout_seconds=SHORT_SECONDS)
    deadline = time.monotonic() + LONG_SECONDS
    while left := [thread for thread in set(threading.enumerate()) - before if not thread.daemon]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
