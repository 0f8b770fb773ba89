"""The listener before real senders: what is acknowledged, what is refused, and that the bytes stay as they came."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO

import pydicom
import pytest
import raw_pdus
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from structlog.testing import capture_logs

from config.settings import Modality, Node
from domain.errors import DataSetUnusable, StorageUnavailable
from domain.identity import IMPLEMENTATION_CLASS_UID
from domain.types import Received
from scp.admission import RefusedCaller
from scp.listener import Listener

DX = UID("1.2.840.10008.5.1.4.1.1.1.1")
CR = UID("1.2.840.10008.5.1.4.1.1.1")
VERIFICATION = "1.2.840.10008.1.1"
MODALITY = Modality(name="dr-room-1", ae_title="DRROOM1")


class Spool:
    """The far side of the listener: keeps what came, or fails as it is told to."""

    def __init__(self) -> None:
        self.images: list[tuple[Received, bytes]] = []
        self.refused: list[RefusedCaller] = []
        self.before: Callable[[Received], None] = lambda _: None
        self._lock = threading.Lock()

    def receive(self, received: Received) -> None:
        self.before(received)
        with self._lock:
            self.images.append((received, bytes(received.data_set)))


@pytest.fixture
def spool() -> Spool:
    return Spool()


@contextmanager
def listening(spool: Spool, *modalities: Modality, **node: object) -> Iterator[Listener]:
    settings = Node.model_validate({"host": "127.0.0.1", **node})
    with Listener(
        node=settings, modalities=modalities or (MODALITY,), receive=spool.receive, refused=spool.refused.append, port=0
    ) as listener:
        yield listener


@pytest.fixture
def listener(spool: Spool) -> Iterator[Listener]:
    with listening(spool) as running:
        yield running


def image(number: int = 1, *, sop_class: UID = DX, syntax: UID = ExplicitVRLittleEndian) -> Dataset:
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.SOPClassUID = data_set.file_meta.MediaStorageSOPClassUID = sop_class
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.100{number}")
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = UID("2.25.2"), UID("2.25.3")
    data_set.Rows, data_set.Columns = 2, 3
    data_set.BitsAllocated = data_set.BitsStored = 16
    return data_set


def encode(data_set: Dataset, syntax: UID) -> bytes:
    target = DicomBytesIO()
    target.is_implicit_VR = syntax.is_implicit_VR
    target.is_little_endian = syntax.is_little_endian
    write_dataset(target, data_set)
    if syntax.is_deflated:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(target.getvalue()) + deflater.flush()
    return target.getvalue()


@contextmanager
def associated(
    listener: Listener, *syntaxes: UID, calling: str = "DRROOM1", called: str = "HOUNDSFIELD", sop_class: UID = DX
) -> Iterator[Association]:
    ae = AE(ae_title=calling)
    ae.add_requested_context(sop_class, list(syntaxes) or [ExplicitVRLittleEndian])
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", listener.port, ae_title=called)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send_bytes(association: Association, data_set: bytes, *, sop_class: str = DX, instance: str = "2.25.1001") -> Dataset:
    """C-STORE of bytes as they are; pynetdicom's own send would encode them again."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(instance)
    request.DataSet = BytesIO(data_set)
    (context,) = (cx for cx in association.accepted_contexts if cx.abstract_syntax != VERIFICATION)
    assert context.context_id is not None
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, context.context_id)
        _, answer = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    assert isinstance(answer, C_STORE)
    status = Dataset()
    status.Status = answer.Status
    status.ErrorComment = answer.ErrorComment or ""
    return status


def test_echo(listener: Listener) -> None:
    with associated(listener) as association:
        assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLosslessSV1,
    ],
)
def test_bytes_stay_as_they_came_and_make_a_file(listener: Listener, spool: Spool, syntax: UID) -> None:
    sent = image()
    sent.add_new(0x7FE00010, "OB" if syntax.is_encapsulated else "OW", b"\xfe\xff\x00\xe0\0\0\0\0" * 40_000)
    if syntax.is_encapsulated:
        sent["PixelData"].is_undefined_length = True
    encoded = encode(sent, syntax)
    with associated(listener, syntax) as association:
        assert send_bytes(association, encoded).Status == 0x0000

    ((received, data_set),) = spool.images
    assert data_set == encoded
    assert (received.modality, received.calling_ae, received.called_ae) == ("dr-room-1", "DRROOM1", "HOUNDSFIELD")
    assert (received.peer_host, received.transfer_syntax_uid) == ("127.0.0.1", syntax)
    assert (received.ref.sop_class_uid, received.ref.sop_instance_uid) == (DX, "2.25.1001")
    assert (received.study_instance_uid, received.series_instance_uid) == ("2.25.2", "2.25.3")
    read = pydicom.dcmread(BytesIO(received.part10_header + data_set))
    assert read.SOPInstanceUID == sent.SOPInstanceUID
    assert read.PixelData == sent.PixelData
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID


@pytest.mark.parametrize(
    "order",
    [
        [ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless],
        [JPEG2000Lossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian],
        [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian],
        [DeflatedExplicitVRLittleEndian, JPEG2000Lossless, ImplicitVRLittleEndian],
    ],
)
def test_the_senders_first_choice_is_kept(listener: Listener, order: list[UID]) -> None:
    with associated(listener, *order) as association:
        (accepted,) = (cx for cx in association.accepted_contexts if cx.abstract_syntax == DX)
        assert accepted.transfer_syntax == [order[0]]


def test_several_images_on_one_association_and_several_associations(listener: Listener, spool: Spool) -> None:
    # By hand: several pynetdicom 3.0.4 senders in one process lose answers that come at once (its reactor takes them).
    def send(first: int) -> list[int]:
        statuses = []
        with (
            socket.create_connection(("127.0.0.1", listener.port), timeout=20) as connection,
            connection.makefile("rb") as answers,
        ):
            connection.sendall(raw_pdus.request())
            assert raw_pdus.read_pdu(answers)[0] == raw_pdus.ACCEPT
            for number in range(first, first + 10):
                sent = encode(image(number), ImplicitVRLittleEndian)
                connection.sendall(raw_pdus.store_command(f"2.25.100{number}") + raw_pdus.p_data(3, 2, sent))
                answer = raw_pdus.read_pdu(answers)
                statuses.append(int.from_bytes(answer[answer.index(b"\x00\x00\x00\x09") + 8 :][:2], "little"))
        return statuses

    with ThreadPoolExecutor(4) as senders:
        assert list(senders.map(send, range(0, 400, 100))) == [[0x0000] * 10] * 4
    assert len({received.ref.sop_instance_uid for received, _ in spool.images}) == 40


@pytest.mark.parametrize(
    ("error", "status", "comment"),
    [
        (StorageUnavailable("the disk is full"), 0xA700, "Cannot store now"),
        (DataSetUnusable("Nothing can be done with this"), 0xC000, "Nothing can be done"),
        (ValueError("Rex Houndsman"), 0xA700, "Internal error"),
    ],
)
def test_a_failure_is_never_success_and_the_next_image_is_taken(
    listener: Listener,
    spool: Spool,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    comment: str,
) -> None:
    def fail(received: Received) -> None:
        if received.ref.sop_instance_uid == "2.25.1001":
            raise error

    spool.before = fail
    with associated(listener) as association:
        answer = association.send_c_store(image(1))
        assert answer.Status == status
        assert answer.ErrorComment.startswith(comment)
        assert association.send_c_store(image(2)).Status == 0x0000
    assert [received.ref.sop_instance_uid for received, _ in spool.images] == ["2.25.1002"]
    assert "Rex" not in capsys.readouterr().out  # an exception may quote the data set


def test_success_is_not_said_before_the_image_is_durable(listener: Listener, spool: Spool) -> None:
    durable, answered = threading.Event(), threading.Event()
    spool.before = lambda _: None if durable.wait(5) else pytest.fail("never released")

    def send() -> int:
        with associated(listener) as association:
            status: int = association.send_c_store(image()).Status
            answered.set()
            return status

    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(send)
        assert not answered.wait(0.3)
        durable.set()
        assert sent.result(timeout=5) == 0x0000


@pytest.mark.parametrize(
    ("change", "status", "comment"),
    [
        ({"StudyInstanceUID": None}, 0xC000, "The data set has no Study Instance UID"),
        ({"SOPInstanceUID": None}, 0xC000, "The data set has no SOP Instance UID"),
        ({"SOPInstanceUID": "2.25.9"}, 0xA900, "The SOP Instance UIDs of command and data set differ"),
        ({"SOPClassUID": CR}, 0xA900, "The SOP Class UIDs of command and data set differ"),
    ],
)
def test_an_unusable_data_set_is_refused_with_the_reason(
    listener: Listener, spool: Spool, change: dict[str, str | None], status: int, comment: str
) -> None:
    broken = image()
    for keyword, value in change.items():
        if value is None:
            del broken[keyword]
        else:
            setattr(broken, keyword, UID(value))
    with associated(listener) as association:
        answer = send_bytes(association, encode(broken, ExplicitVRLittleEndian))
        assert (answer.Status, answer.ErrorComment) == (status, comment)
        assert send_bytes(association, b"\0\0").Status == 0xC000
        assert send_bytes(association, b"\x08\x00nonsense" * 9).Status == 0xC000
        assert send_bytes(association, encode(image(), ExplicitVRLittleEndian)).Status == 0x0000
    assert len(spool.images) == 1


def test_an_object_beyond_the_bound_is_refused_and_not_kept(spool: Spool) -> None:
    large = image()
    large.add_new(0x7FE00010, "OW", bytes(3 << 20))
    with listening(spool, max_object_megabytes=2) as listener, associated(listener) as association:
        answer = send_bytes(association, encode(large, ExplicitVRLittleEndian))
        assert (answer.Status, answer.ErrorComment) == (0xC000, "The object is larger than 2 MB")
        assert association.send_c_store(image()).Status == 0x0000
    assert len(spool.images) == 1


@pytest.mark.parametrize(
    ("calling", "called", "rejection", "reason"),
    [
        ("DRROOM2", "HOUNDSFIELD", (1, 1, 3), "DRROOM2 at 127.0.0.1 called; no [[modality]] has this AE title"),
        ("DRROOM1", "PACS", (1, 1, 7), "DRROOM1 at 127.0.0.1 called PACS; this node answers it as HOUNDSFIELD"),
    ],
)
def test_a_stranger_is_rejected_with_a_line_for_it_staff(
    listener: Listener, spool: Spool, calling: str, called: str, rejection: tuple[int, int, int], reason: str
) -> None:
    with capture_logs() as lines, associated(listener, calling=calling, called=called) as association:
        assert association.is_rejected
        answer = association.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == rejection
    assert {"event": "association refused", "reason": reason, "log_level": "warning"} in lines
    assert spool.refused == [
        RefusedCaller(calling_ae=calling, called_ae=called, peer_host="127.0.0.1", reason=reason, unknown=True)
    ]


def test_noting_a_stranger_may_fail(spool: Spool) -> None:
    def broken(_: RefusedCaller) -> None:
        raise OSError("the disk is full")

    node = Node(host="127.0.0.1")
    with Listener(node=node, modalities=[MODALITY], receive=spool.receive, refused=broken, port=0) as listener:
        with associated(listener, calling="STRANGER") as association:
            assert association.is_rejected
        with associated(listener) as association:
            assert association.send_c_echo().Status == 0x0000


def test_without_modalities_the_node_can_only_verify_itself(spool: Spool) -> None:
    node = Node(host="127.0.0.1")
    with Listener(node=node, modalities=[], receive=spool.receive, refused=spool.refused.append, port=0) as listener:
        with associated(listener) as association:
            assert association.is_rejected
        with associated(listener, calling="HOUNDSFIELD") as association:
            assert association.send_c_echo().Status == 0x0000
            assert [cx.abstract_syntax for cx in association.accepted_contexts] == [VERIFICATION]
    assert spool.images == []


def test_the_limit_of_associations_is_told_as_such_and_a_slot_comes_free(spool: Spool) -> None:
    with listening(spool, max_associations=1) as listener:
        with associated(listener) as first:
            with associated(listener) as second:
                answer = second.acceptor.primitive
                assert answer is not None
                assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
            with associated(listener, calling="HOUNDSFIELD") as own:
                assert own.send_c_echo().Status == 0x0000  # `status` works on a busy node
            assert first.send_c_echo().Status == 0x0000
        for _ in range(5):  # one after the other, at once
            with associated(listener) as next_one:
                assert next_one.is_established
    assert [caller.unknown for caller in spool.refused] == [False]


def test_slow_storing_does_not_count_as_idleness(spool: Spool) -> None:
    spool.before = lambda _: time.sleep(0.6)
    with listening(spool, idle_seconds=0.4) as listener, associated(listener) as association:
        assert association.send_c_store(image(1)).Status == 0x0000
        assert association.send_c_store(image(2)).Status == 0x0000


def test_stop_lets_the_running_image_end_and_takes_no_new_caller(spool: Spool) -> None:
    storing, durable = threading.Event(), threading.Event()

    def slow(_: Received) -> None:
        storing.set()
        durable.wait(5)

    spool.before = slow
    with listening(spool) as listener, ThreadPoolExecutor(2) as threads:

        def send() -> int:
            with associated(listener) as association:
                status: int = association.send_c_store(image()).Status
                return status

        port = listener.port
        sent = threads.submit(send)
        assert storing.wait(5)
        stopped = threads.submit(listener.stop)
        ae = AE(ae_title="DRROOM1")
        ae.add_requested_context(VERIFICATION)
        for _ in range(100):
            late = ae.associate("127.0.0.1", port)
            if not late.is_established:
                break
            late.release()
            time.sleep(0.02)
        else:
            pytest.fail("callers are still taken")
        durable.set()
        assert sent.result(timeout=5) == 0x0000
        stopped.result(timeout=5)
    assert len(spool.images) == 1


def test_stop_aborts_what_does_not_end(spool: Spool) -> None:
    with listening(spool) as listener, associated(listener) as association:
        start = time.monotonic()
        listener.stop(drain_seconds=0.2)
        assert time.monotonic() - start < 4
        association.join(timeout=5)
        assert association.is_aborted


def test_a_taken_port_is_an_error_at_start(listener: Listener, spool: Spool) -> None:
    node = Node(host="127.0.0.1")
    second = Listener(node=node, modalities=[], receive=spool.receive, refused=spool.refused.append, port=listener.port)
    with pytest.raises(OSError, match="in use"):
        second.start()
