"""C-FIND, C-ECHO, capabilities and sending folders, to peers of our own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import dx_file
from odd_peers import DX, LONG_SECONDS, SHORT_SECONDS, Handler, Kept, at_most, body, scp, where
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)

from delivery.echo import capabilities, echo
from delivery.find import Whereabouts, find_filed
from delivery.send import Skipped, send_files
from delivery.store import StoreResult, StoreState, send_document
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import Peer


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
