"""Files are written in blocks past the page cache where the file system allows it; no length may show the seam."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from domain.types import InstanceRef, Received
from spool import Spool, durable_write
from spool.files import _BLOCK_BYTES, _BOUNCE_BYTES, _HASH_BESIDE_BYTES

EDGES = (_BLOCK_BYTES, _BOUNCE_BYTES, 2 * _BOUNCE_BYTES)
LENGTHS = [0, 1, *(edge + more for edge in EDGES for more in (-1, 0, 1))]
PATTERN = bytes(range(251)) * (1 + 3 * _BOUNCE_BYTES // 251)


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """memory: tmpfs, which on most kernels knows no O_DIRECT."""
    if request.param == "disk":
        return tmp_path
    if not Path("/dev/shm").is_dir():
        pytest.skip("no tmpfs here")
    place = tempfile.TemporaryDirectory(dir="/dev/shm")
    request.addfinalizer(place.cleanup)
    return Path(place.name)


@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_comes_out_as_it_went_in(folder: Path, length: int) -> None:
    durable_write(folder / "file", [PATTERN[:length]])
    assert (folder / "file").read_bytes() == PATTERN[:length]
    durable_write(folder / "file", [PATTERN[:330], memoryview(PATTERN)[:length]])
    assert (folder / "file").read_bytes() == PATTERN[:330] + PATTERN[:length]
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("length", LENGTHS[2:])
def test_a_file_system_that_takes_the_flag_and_not_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    write = os.write

    def refuses(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, data)

    monkeypatch.setattr("os.write", refuses)
    durable_write(tmp_path / "file", [PATTERN[:length]])
    assert (tmp_path / "file").read_bytes() == PATTERN[:length]


def test_what_is_invalid_without_the_flag_too_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("os.write", refuses)
    with pytest.raises(OSError, match="Invalid argument"):
        durable_write(tmp_path / "file", [b"x" * _BLOCK_BYTES])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [5000, _HASH_BESIDE_BYTES + 5])
def test_the_name_is_the_sha256_however_it_is_computed_and_twice_is_once(folder: Path, length: int) -> None:
    received = Received(
        ref=InstanceRef(sop_class_uid="1.2", sop_instance_uid="1.2.3"),
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.5",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="DRROOM1",
        called_ae="HOUNDSFIELD",
        peer_host="127.0.0.1",
        modality="room-1",
        part10_header=b"h" * 330,
        data_set=PATTERN[:length],
    )
    spool = Spool(folder / "spool")
    first, second = spool.add(received), spool.add(received)
    assert first == second
    assert first.sha256 == hashlib.sha256(PATTERN[:length]).hexdigest()
    assert first.size_bytes == first.path.stat().st_size == 330 + length
    assert [path for path in (folder / "spool").rglob("*") if path.is_file()] == [first.path]
