"""C-STORE and C-FIND to peers that behave, refuse, hang, break off or lie. All of them in this process, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import dx_file, uid
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from delivery.association import AssociationLost
from delivery.echo import capabilities, echo
from delivery.find import Whereabouts, find_filed, is_filed
from delivery.part10 import identify
from delivery.send import Skipped, send_files
from delivery.store import StoreResult, StoreState, send_document, store
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import InstanceRef, Peer

SHORT_SECONDS = 0.4
LONG_SECONDS = 10.0
SLACK_SECONDS = 2.0  # two busy cores
DX = DigitalXRayImageStorageForPresentation

Handler = Callable[..., Any]


@contextmanager
def scp(
    *handlers: tuple[Any, Handler],
    contexts: dict[UID, list[UID]] | None = None,
    prepare: Callable[[AE], None] = lambda _entity: None,
) -> Iterator[Peer]:
    """A peer named PACS; `contexts`: SOP class → transfer syntaxes, by default DX, C-FIND and C-ECHO, native."""
    entity = AE(ae_title="PACS")
    entity.acse_timeout = entity.dimse_timeout = LONG_SECONDS
    native = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    accepted = contexts or {DX: native, StudyRootQueryRetrieveInformationModelFind: native, Verification: native}
    for sop_class, syntaxes in accepted.items():
        entity.add_supported_context(sop_class, syntaxes)
    prepare(entity)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Peer(ae_title="PACS", host="127.0.0.1", port=server.server_address[1])
    finally:
        # socketserver looks every 0.5 s whether it shall end; no test waits for that.
        threading.Thread(target=server.shutdown).start()


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[Peer]:
    """A peer that is no DICOM implementation: `serve` gets its first connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield Peer(ae_title="PACS", host="127.0.0.1", port=listener.getsockname()[1])
    finally:
        listener.close()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + SLACK_SECONDS


class Kept:
    """A C-STORE handler that keeps what comes, as it comes."""

    def __init__(self, status: int = 0x0000, comment: str = "") -> None:
        self.status = status
        self.comment = comment
        self.data_sets: list[bytes] = []
        self.commands: list[tuple[str, str, str]] = []
        self.associations: set[int] = set()

    def __call__(self, event: Any) -> Dataset:
        request = event.request
        self.data_sets.append(request.DataSet.getvalue())
        syntax = event.context.transfer_syntax
        self.commands.append((request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, syntax))
        self.associations.add(id(event.assoc))
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment
        return answer


def where(path: Path) -> Whereabouts:
    header = dcmread(path, stop_before_pixels=True)
    return Whereabouts(
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        sop_instance_uid=header.SOPInstanceUID,
    )


def body(path: Path) -> bytes:
    return path.read_bytes()[identify(path).offset :]


# What the peer takes


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless]
)
def test_the_data_set_leaves_untouched_in_its_own_encoding(tmp_path: Path, syntax: UID) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=syntax)
    kept = Kept()
    offers = {DX: [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless]}
    with scp((evt.EVT_C_STORE, kept), contexts=offers) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.STORED and result.status == 0 and not result.converted and result.reason == ""
    assert kept.data_sets == [body(path)]
    assert kept.commands == [(DX, result.sop_instance_uid, syntax)]


def test_a_file_the_parser_finds_odd_still_leaves_untouched(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1000] + b"\xff\xff")  # pixel data cut short, then a broken element
    kept = Kept()
    with scp((evt.EVT_C_STORE, kept)) as peer:
        assert send_document(path, peer, timeout_seconds=LONG_SECONDS).state is StoreState.STORED
    assert kept.data_sets == [body(path)]


@pytest.mark.parametrize("peers_pdu_bytes", [0, 4096, 4097, 16382])
def test_every_fragment_has_an_even_length(tmp_path: Path, peers_pdu_bytes: int) -> None:
    """PS3.8 annex E; DCMTK aborts at an odd one, be it for the data set's length or for the size of its own PDUs."""
    path = dx_file(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-1001])
    kept = Kept()
    lengths: list[int] = []

    def measure(event: Any) -> None:
        if type(event.pdu).__name__ == "P_DATA_TF":
            lengths.extend(len(item.presentation_data_value) for item in event.pdu.presentation_data_value_items)

    def prepare(entity: AE) -> None:
        entity.maximum_pdu_size = peers_pdu_bytes

    with scp((evt.EVT_C_STORE, kept), (evt.EVT_PDU_RECV, measure), prepare=prepare) as peer:
        assert send_document(path, peer, timeout_seconds=LONG_SECONDS).state is StoreState.STORED
    assert kept.data_sets == [body(path) + b"\0"]
    assert lengths and not any((length - 1) % 2 for length in lengths)  # each starts with its one-byte control header
    assert peers_pdu_bytes == 0 or max(lengths) + 5 <= peers_pdu_bytes


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless])
def test_a_peer_with_implicit_only_gets_the_same_object_converted(tmp_path: Path, syntax: UID) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=syntax)
    received: list[Dataset] = []

    def keep(event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.append(dataset)
        return 0x0000

    with scp((evt.EVT_C_STORE, keep), contexts={DX: [ImplicitVRLittleEndian]}) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    original = dcmread(path)
    assert result.state is StoreState.STORED and result.converted and result.sent_as_uid == ImplicitVRLittleEndian
    assert "pixels unchanged" in result.reason and syntax.name in result.reason
    assert received[0].SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(received[0].pixel_array, original.pixel_array)


def test_many_files_use_one_association_and_are_heard_of_one_by_one(tmp_path: Path) -> None:
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n) for n in range(5)]
    kept = Kept()
    heard: list[Path] = []
    with scp((evt.EVT_C_STORE, kept)) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS, stored=lambda path, _result: heard.append(path))
    assert heard == [result.path for result in results] == paths
    assert kept.data_sets == [body(path) for path in paths]
    assert len(kept.associations) == 1


def test_more_contexts_than_an_association_holds_are_spread_over_several(tmp_path: Path) -> None:
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts[:70]]
    paths = [
        dx_file(tmp_path / f"{n}.dcm", instance=n, rows=8, columns=8, SOPClassUID=sop_class)
        for n, sop_class in enumerate(classes)
    ]
    kept = Kept()
    offers = {UID(str(sop_class)): [ExplicitVRLittleEndian] for sop_class in classes}
    with scp((evt.EVT_C_STORE, kept), contexts=offers) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS)
    assert {result.state for result in results} == {StoreState.STORED}
    assert [result.path for result in results] == paths
    assert len(kept.associations) == 2


# What the peer does not take


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xB000, StoreState.STORED),
        (0x0111, StoreState.STORED),
        (0xA700, StoreState.POSTPONED),
        (0x0110, StoreState.POSTPONED),
        (0xC000, StoreState.REFUSED),
        (0xA900, StoreState.REFUSED),
    ],
)
def test_a_status_becomes_the_files_result_and_the_others_go_on(tmp_path: Path, status: int, state: StoreState) -> None:
    paths = [dx_file(tmp_path / f"{n}.dcm", instance=n) for n in range(2)]
    kept = Kept(status, comment="about Rex")
    with scp((evt.EVT_C_STORE, kept)) as peer:
        results = store(paths, peer, timeout_seconds=LONG_SECONDS)
    assert [(result.state, result.status) for result in results] == [(state, status)] * 2
    assert f"0x{status:04X}" in results[0].reason and "PACS at 127.0.0.1:" in results[0].reason
    assert results[0].comment == "about Rex"
    assert "Rex" not in repr(results) + results[0].reason


def test_a_sop_class_the_peer_does_not_take_is_that_files_result_only(tmp_path: Path) -> None:
    taken = dx_file(tmp_path / "dx.dcm")
    other = dx_file(tmp_path / "other.dcm", instance=2, SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.1"))
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        results = store([other, taken], peer, timeout_seconds=LONG_SECONDS)
        alone = store([other], peer, timeout_seconds=LONG_SECONDS)  # the peer accepts no context at all
    assert [result.state for result in results] == [StoreState.REFUSED, StoreState.STORED]
    assert [result.state for result in alone] == [StoreState.REFUSED]
    for reason in (results[0].reason, alone[0].reason):
        assert "does not take Computed Radiography Image Storage; enable it there" in reason


def test_a_known_class_without_a_common_encoding_says_that_instead(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=RLELossless)
    with scp((evt.EVT_C_STORE, Kept()), contexts={DX: [JPEG2000Lossless]}) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.REFUSED
    assert "neither as RLE Lossless nor uncompressed" in result.reason


def test_a_file_that_is_no_object_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not an image")
    path = dx_file(tmp_path / "b.dcm")
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        results = store([text, tmp_path / "absent", path], peer, timeout_seconds=LONG_SECONDS)
    assert [result.state for result in results] == [StoreState.REFUSED, StoreState.REFUSED, StoreState.STORED]
    assert "not a DICOM file" in results[0].reason and "No such file" in results[1].reason


def test_an_undecodable_object_for_a_peer_without_its_encoding_is_refused(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", transfer_syntax=JPEG2000Lossless)
    path.write_bytes(path.read_bytes().replace(b"\xff\x4f\xff\x51", bytes(4)))
    with scp((evt.EVT_C_STORE, Kept())) as peer:
        result = send_document(path, peer, timeout_seconds=LONG_SECONDS)
    assert result.state is StoreState.REFUSED and "cannot be converted" in result.reason


# Associations that do not come about


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


# Is it there?


def find_handler(*found: Whereabouts) -> Handler:
    def answer(_event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for item in found:
            match = Dataset()
            match.QueryRetrieveLevel = "IMAGE"
            match.StudyInstanceUID = item.study_instance_uid
            match.SeriesInstanceUID = item.series_instance_uid
            match.SOPInstanceUID = item.sop_instance_uid
            yield 0xFF00, match

    return answer


def test_found_means_that_the_peer_names_the_very_object(tmp_path: Path) -> None:
    mine, other = (where(dx_file(tmp_path / f"{n}.dcm", instance=n)) for n in (1, 2))
    queries: list[Dataset] = []

    def answer(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        queries.append(event.identifier)
        yield from find_handler(mine)(event)

    with scp((evt.EVT_C_FIND, answer)) as peer:
        assert find_filed([mine, other], peer, timeout_seconds=LONG_SECONDS) == {mine.sop_instance_uid}
        assert is_filed(
            InstanceRef(sop_class_uid=DX, sop_instance_uid=mine.sop_instance_uid),
            mine.study_instance_uid,
            mine.series_instance_uid,
            peer,
            timeout_seconds=LONG_SECONDS,
        )
    assert {query.QueryRetrieveLevel for query in queries} == {"IMAGE"}
    assert queries[0].StudyInstanceUID == mine.study_instance_uid
    assert queries[0].SeriesInstanceUID == mine.series_instance_uid


def test_stored_but_not_findable_is_not_filed(tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    with scp((evt.EVT_C_STORE, Kept()), (evt.EVT_C_FIND, find_handler())) as peer:
        assert send_document(path, peer, timeout_seconds=LONG_SECONDS).state is StoreState.STORED
        assert find_filed([where(path)], peer, timeout_seconds=LONG_SECONDS) == frozenset()


def test_a_failed_query_is_no_answer(tmp_path: Path) -> None:
    item = where(dx_file(tmp_path / "a.dcm"))

    def fail(status: int) -> Handler:
        def answer(_event: Any) -> Iterator[tuple[int, Dataset | None]]:
            yield status, None

        return answer

    with scp((evt.EVT_C_FIND, fail(0xA900))) as peer, pytest.raises(PeerRefused, match="0xA900") as refusal:
        find_filed([item], peer, timeout_seconds=LONG_SECONDS)
    assert refusal.value.status == 0xA900
    with scp((evt.EVT_C_FIND, fail(0xA700))) as peer, pytest.raises(PeerUnavailable, match="0xA700"):
        find_filed([item], peer, timeout_seconds=LONG_SECONDS)


def test_a_query_that_hangs_or_never_ends_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    item = where(dx_file(tmp_path / "a.dcm"))
    over = threading.Event()

    def hang(_event: Any) -> Iterator[tuple[int, Dataset | None]]:
        over.wait(LONG_SECONDS)
        yield 0x0000, None

    def endless(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        while not over.wait(0.02) and event.assoc.is_established:
            yield from find_handler(item)(event)

    for handler, reason in ((hang, "did not answer a query"), (endless, "did not end its answer")):
        over.clear()
        with scp((evt.EVT_C_FIND, handler)) as peer:
            with at_most(2 * SHORT_SECONDS), pytest.raises(PeerUnavailable, match=reason):
                find_filed([item], peer, timeout_seconds=SHORT_SECONDS)
            over.set()


def test_a_peer_without_queries_is_refused_with_what_to_do(tmp_path: Path) -> None:
    item = where(dx_file(tmp_path / "a.dcm"))
    refused = pytest.raises(PeerRefused, match=r"does not answer queries .* or set verify to none")
    with scp(contexts={DX: [ExplicitVRLittleEndian]}) as peer, refused:
        find_filed([item], peer, timeout_seconds=LONG_SECONDS)


# C-ECHO, capabilities, sending like a modality


def test_an_echo_that_fails_says_how() -> None:
    def failing(_event: Any) -> int:
        return 0x0122

    def aborting(event: Any) -> int:
        event.assoc.abort()
        return 0x0000

    with scp() as peer:
        echo(peer, timeout_seconds=LONG_SECONDS)
    with scp((evt.EVT_C_ECHO, failing)) as peer, pytest.raises(PeerRefused, match="0x0122"):
        echo(peer, timeout_seconds=LONG_SECONDS)
    with scp((evt.EVT_C_ECHO, aborting)) as peer, pytest.raises(PeerUnavailable, match="broke it off"):
        echo(peer, timeout_seconds=LONG_SECONDS)
    with scp(contexts={DX: [ExplicitVRLittleEndian]}) as peer, pytest.raises(PeerRefused, match="does not offer C-ECHO"):
        echo(peer, timeout_seconds=LONG_SECONDS)


def test_capabilities_name_what_the_peer_takes_and_what_it_does_not() -> None:
    with scp(contexts={DX: [JPEG2000Lossless, ExplicitVRLittleEndian]}) as peer:
        found = {item.sop_class_uid: item for item in capabilities(peer, timeout_seconds=LONG_SECONDS)}
    assert {syntax.uid for syntax in found[DX].transfer_syntaxes} == {ExplicitVRLittleEndian, JPEG2000Lossless}
    assert not found["1.2.840.10008.5.1.4.1.1.88.33"].accepted
    assert not found[StudyRootQueryRetrieveInformationModelFind].accepted
    with scp(contexts={UID("1.2.840.10008.5.1.4.1.1.128"): [ExplicitVRLittleEndian]}) as peer:
        assert not any(item.accepted for item in capabilities(peer, timeout_seconds=LONG_SECONDS))


def test_sending_a_folder_sends_its_objects_and_says_why_it_skips_the_rest(tmp_path: Path) -> None:
    inner = dx_file(tmp_path / "folder" / "inner" / "b.dcm", instance=2)
    first = dx_file(tmp_path / "folder" / "a.dcm", instance=1)
    text = tmp_path / "folder" / "readme.txt"
    text.write_text("no image")
    absent = tmp_path / "absent.dcm"
    kept = Kept()
    heard: list[StoreResult | Skipped] = []
    with scp((evt.EVT_C_STORE, kept)) as peer:
        sent = send_files([tmp_path / "folder", absent], peer, timeout_seconds=LONG_SECONDS, progress=heard.append)
    assert [result.path for result in sent.results] == [first, inner]
    assert {(skip.path, skip.reason) for skip in sent.skipped} == {
        (text, "not a DICOM file"),
        (absent, "No such file or directory"),
    }
    assert {item.path for item in heard} == {first, inner, text, absent}
    assert kept.data_sets == [body(first), body(inner)]


def test_sending_nothing_calls_nobody(tmp_path: Path) -> None:
    sent = send_files([tmp_path], Peer(ae_title="PACS", host="127.0.0.1", port=1), timeout_seconds=LONG_SECONDS)
    assert sent.results == () and sent.skipped == ()
