"""What `Spool.add` promises: whole, durable, named by content, or nothing at all."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import StorageUnavailable
from domain.types import InstanceRef, Received
from spool import Spool


def received(data_set: bytes) -> Received:
    return Received(
        ref=InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid="2.25.1"),
        study_instance_uid="2.25.2",
        series_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="192.0.2.21",
        modality="dr-room-1",
        part10_header=b"\0" * 128 + b"DICM",
        data_set=memoryview(data_set),
    )


@given(st.binary(max_size=4096))
def test_the_file_is_header_and_data_set_untouched(tmp_path_factory: pytest.TempPathFactory, data_set: bytes) -> None:
    spooled = Spool(tmp_path_factory.mktemp("spool")).add(received(data_set))
    assert spooled.path.read_bytes() == b"\0" * 128 + b"DICM" + data_set
    assert spooled.sha256 == hashlib.sha256(data_set).hexdigest()
    assert spooled.size_bytes == 132 + len(data_set)


def test_the_same_content_is_one_file_and_another_is_another(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, again, other = (spool.add(received(content)) for content in (b"one", b"one", b"two"))
    assert first == again
    assert first.path != other.path
    assert len(list(tmp_path.rglob("*.dcm"))) == 2


def test_file_and_folder_are_synced_before_add_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order: the data, then (after the rename) the folder that names it."""
    spool = Spool(tmp_path)
    synced = record_fsync(monkeypatch)
    path = spool.add(received(b"content")).path
    data, folder = (next(i for i, name in enumerate(synced) if end(name)) for end in (_is_part, str(path.parent).__eq__))
    assert data < folder


def _is_part(name: str) -> bool:
    return name.endswith(".part")


def test_a_refusing_disk_leaves_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable, match="No space left"):
        spool.add(received(b"content"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_half_written_files_of_a_killed_listener_are_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    half, running = tmp_path / "incoming" / "half.part", tmp_path / "incoming" / "running.part"
    half.write_bytes(b"half")
    os.utime(half, (1_000.0, 1_000.0))
    running.write_bytes(b"another listener's")
    kept = spool.add(received(b"content")).path
    assert spool.clear_incoming(before=2_000.0) == 1
    assert kept.exists()
    assert list((tmp_path / "incoming").iterdir()) == [running]


def test_a_file_whose_folder_was_never_synced_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that died between the rename and the folder's fsync has acknowledged nothing: nobody may rely on it."""
    spool = Spool(tmp_path)
    path = spool.add(received(b"content")).path
    synced = record_fsync(monkeypatch)
    assert spool.add(received(b"content")).path == path
    assert str(path.parent) in synced


def test_a_cut_file_is_written_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = spool.add(received(b"content")).path
    path.write_bytes(b"cut")
    spool.add(received(b"content"))
    assert path.read_bytes().endswith(b"content")


def record_fsync(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    synced: list[str] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().as_posix())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return synced
