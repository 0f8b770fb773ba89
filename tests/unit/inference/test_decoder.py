"""The decoder's process: what breaks it costs one image, nothing is left behind, and it ends with its parent."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from codestreams import compressed_dataset
from factories import dx_dataset, dx_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from domain.errors import ImageUnreadable
from domain.types import Radiograph
from inference.decoder import MESSAGE_BYTES, Decoder, _Gone, _Process
from inference.image import NotAnImage

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.dcm"))


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder()
    yield made
    made.close()


def read(decoder: Decoder, path: Path) -> Radiograph:
    return decoder.read(path, assumed_species=None)


def process_of(decoder: Decoder) -> psutil.Process:
    assert decoder._process is not None
    return psutil.Process(decoder._process._process.pid)


def wait_until(happened: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_an_image_outlives_its_decoder_and_cannot_be_written_to(decoder: Decoder, tmp_path: Path) -> None:
    pixels = read(decoder, dx_file(tmp_path / "a.dcm")).pixels
    decoder.close()
    assert pixels.max() > 0.9
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 1


def test_no_child_stays_behind(decoder: Decoder, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    for _ in range(5):
        read(decoder, path)
    wait_until(lambda: not process_of(decoder).children())
    open_files = process_of(decoder).num_fds()
    ours = psutil.Process().num_fds()
    for _ in range(20):
        read(decoder, path)
    wait_until(lambda: not process_of(decoder).children())
    assert process_of(decoder).num_fds() == open_files
    assert psutil.Process().num_fds() == ours


def test_a_decoder_that_ended_between_images_is_started_again(decoder: Decoder, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    before = read(decoder, path).pixels
    gone = process_of(decoder)
    gone.kill()
    gone.wait(5)
    np.testing.assert_array_equal(read(decoder, path).pixels, before)


def stopped_while_reading(decoder: Decoder, fifo: Path, end: Callable[[psutil.Process], None]) -> ImageUnreadable:
    """A pipe that nobody writes to keeps a child waiting."""
    os.mkfifo(fifo)
    wait_until(lambda: not process_of(decoder).children())
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, decoder, fifo)
        wait_until(lambda: bool(process_of(decoder).children()))
        end(process_of(decoder))
        with pytest.raises(ImageUnreadable) as refused:
            reading.result(timeout=20)
    return refused.value


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        *((one, "decoder_died") for one in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL)),
        *((one, "took_too_long") for one in (signal.SIGXCPU, signal.SIGALRM)),
    ],
)
def test_what_breaks_a_child_costs_one_image(decoder: Decoder, tmp_path: Path, number: int, fault: str) -> None:
    path = dx_file(tmp_path / "a.dcm")
    read(decoder, path)
    refused = stopped_while_reading(decoder, tmp_path / "pipe", lambda it: it.children()[0].send_signal(number))
    assert refused.fault == fault
    assert read(decoder, path).rows == 120


def test_when_the_whole_decoder_is_killed_the_image_is_tried_once_more(decoder: Decoder, tmp_path: Path) -> None:
    read(decoder, dx_file(tmp_path / "a.dcm"))

    def killed(process: psutil.Process) -> None:
        child = process.children()[0]
        process.kill()
        child.wait(10)  # it must not take what is written for the next
        (tmp_path / "pipe").write_bytes(b"")  # returns when the next child has opened it

    assert stopped_while_reading(decoder, tmp_path / "pipe", killed).fault == "not_dicom"


def test_it_ends_with_a_parent_that_is_killed_in_the_middle_of_an_image(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    script = (
        "from pathlib import Path\nfrom inference.decoder import Decoder\n"
        f"Decoder().read(Path({str(fifo)!r}), assumed_species=None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        wait_until(lambda: len(psutil.Process(parent.pid).children(recursive=True)) == 2, seconds=30)
        below = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive


def test_signals_for_the_parent_do_not_end_it(decoder: Decoder, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm")
    read(decoder, path)
    pid = process_of(decoder).pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert read(decoder, path).rows == 120
    assert process_of(decoder).pid == pid


def test_a_machine_that_is_out_of_descriptors_says_nothing_about_the_image(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dx_file(tmp_path / "a.dcm")

    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("subprocess.Popen", none_left)
        with pytest.raises(OSError, match="Too many open files"):
            read(decoder, path)
    assert read(decoder, path).rows == 120
    process = process_of(decoder)
    wait_until(lambda: not process.children())
    taken = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
    free = [number for number in range(1000) if number not in taken]
    for few in (1, 2):  # enough to watch the child, which then cannot map the file, or make the memory for its pixels
        process.rlimit(psutil.RLIMIT_NOFILE, (free[few], 1000))
        with pytest.raises(OSError, match="Too many open files"):
            read(decoder, path)
    process.rlimit(psutil.RLIMIT_NOFILE, (1000, 1000))
    assert read(decoder, path).rows == 120
    with pytest.raises(ImageUnreadable, match="cannot be opened"):
        read(decoder, tmp_path / "missing.dcm")


def test_a_decoder_that_does_not_start_says_nothing_about_the_image(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(OSError, match="cannot be started"):
        read(decoder, dx_file(tmp_path / "a.dcm"))


@pytest.mark.parametrize("keyword", ["PatientBreedDescription", "Modality", "SOPInstanceUID"])
def test_a_text_that_no_message_holds_is_cut(decoder: Decoder, tmp_path: Path, keyword: str) -> None:
    ds = dx_dataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # which has no limit of 64 KiB
    ds.add_new(keyword, "UT", "1" * 150_000)
    path = tmp_path / "a.dcm"
    ds.save_as(path, enforce_file_format=True)
    ours = psutil.Process().num_fds()
    for _ in range(2):
        assert read(decoder, path).rows == 120
    assert psutil.Process().num_fds() == ours + 1  # the socket


def test_what_is_not_the_answer_leaves_no_descriptor_open() -> None:
    """An answer to another question, then one that is longer than any message."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = object.__new__(_Process)
    process._socket = ours
    memory = os.memfd_create("grays")
    with ours, theirs:
        before = psutil.Process().num_fds()
        socket.send_fds(theirs, [b'{"number": 1}'], [memory])
        socket.send_fds(theirs, [b'{"number": 2, "text": "' + b"x" * MESSAGE_BYTES + b'"}'], [memory])
        with pytest.raises(_Gone):
            process.ask({"number": 2})
        assert psutil.Process().num_fds() == before
    os.close(memory)


def test_several_threads(decoder: Decoder, tmp_path: Path) -> None:
    paths = [dx_file(tmp_path / f"{rows}.dcm", rows=rows, instance=rows) for rows in range(40, 60)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda path: read(decoder, path).rows, paths))
    assert found == list(range(40, 60))
    assert threading.active_count() < 20


def test_a_deflated_bomb(decoder: Decoder, tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte."""
    ds = dx_dataset(transfer_syntax=DeflatedExplicitVRLittleEndian, rows=8, columns=8)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (tmp_path / "a.dcm").read_bytes()
    begin = 132 + 12 + struct.unpack_from("<L", content, 140)[0]
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    zeros = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(1024)) + deflater.flush()
    (tmp_path / "a.dcm").write_bytes(content[:begin] + zeros)
    with pytest.raises(ImageUnreadable, match="larger than 256 MB when inflated"):
        read(decoder, tmp_path / "a.dcm")


def test_a_codestream_of_four_billion_tiles(decoder: Decoder, tmp_path: Path) -> None:
    ds = compressed_dataset("JPEG 2000")
    codestream = bytes(ds.PixelData)
    at = codestream.index(b"\xff\x4f\xff\x51")
    bomb = bytearray(codestream)
    bomb[at + 8 : at + 16] = struct.pack(">LL", 0xFFFFFFFF, 0xFFFFFFFF)  # its size
    ds.PixelData = bytes(bomb)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageUnreadable, match=r"does not have the size|cut short"):
        read(decoder, tmp_path / "a.dcm")
    bomb = bytearray(codestream)
    bomb[at + 24 : at + 32] = struct.pack(">LL", 1, 1)  # its tiles'
    ds.PixelData = bytes(bomb)
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(ImageUnreadable, match="cut short"):  # only one of them is there
        read(decoder, tmp_path / "b.dcm")


def test_lengths_that_are_absurd(decoder: Decoder, tmp_path: Path) -> None:
    """Elements and fragments of 3 GB and of 'minus one' in a file of a few thousand bytes."""
    whole = dx_file(tmp_path / "a.dcm").read_bytes()
    at = whole.index(struct.pack("<HH2sH", 0x7FE0, 0x10, b"OW", 0)) + 8
    said = set()
    for length in (0xC0000000, 0xFFFFFFFE, 0x80000000):
        (tmp_path / "a.dcm").write_bytes(whole[:at] + struct.pack("<L", length) + whole[at + 4 :])
        try:
            read(decoder, tmp_path / "a.dcm")
            said.add("shown")  # all of its pixels are there
        except ImageUnreadable as refused:
            said.add(refused.fault)
    assert said <= {"shown", "pixels_cut_short"}
    middle = whole.index(b"SH\x02\x00")
    (tmp_path / "a.dcm").write_bytes(whole[: middle + 2] + b"\xff\xff" + whole[middle + 4 :])
    with pytest.raises((ImageUnreadable, NotAnImage)):
        read(decoder, tmp_path / "a.dcm")


def test_what_lies_behind_the_pixels_is_never_touched(decoder: Decoder, tmp_path: Path) -> None:
    path = dx_file(tmp_path / "a.dcm", rows=4, columns=4)
    with path.open("r+b") as file:  # sparse: nothing of it is written
        file.truncate(6 << 30)
    assert read(decoder, path).rows == 4


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_the_fuzzer_found(decoder: Decoder, path: Path) -> None:
    try:
        found = read(decoder, path)
    except NotAnImage:
        return
    except ImageUnreadable as refused:
        assert refused.fault not in ("decoder_died", "took_too_long", "needs_memory")
        assert refused.fault == "codestream_cut_short" or not path.stem.startswith("ended-early")
        return
    assert not path.stem.startswith("ended-early")
    assert np.isfinite(found.pixels).all()
