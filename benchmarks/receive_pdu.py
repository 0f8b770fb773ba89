"""How fast the listener takes images, side by side with pynetdicom's default AE.

The same files, the same sender (DCMTK's storescu with PDUs of up to 128 KB), the same handler that keeps nothing; both
receivers run in turn, so that a busy machine slows them alike. Printed: the median of the seconds from the sender's start to
its end, less those of a sender that sends the smallest object, and their ratio.

    python benchmarks/receive_pdu.py [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from rich.console import Console
from rich.table import Table

from config.settings import Modality, Node
from domain.types import Received
from scp.admission import RefusedCaller
from scp.listener import Listener

NODE = "HOUNDSFIELD"
LARGE_PDUS = ("--max-pdu", "131072", "--max-send-pdu", "131072")
SENDER = "BENCH"
WORKLOADS = {"10 × 14 MB": (10, 2800, 2500), "50 × 0.5 MB": (50, 500, 500)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each receiver takes each workload (default 7)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.rounds)
    table = Table(title=f"Receiving from storescu, median of {arguments.rounds} rounds")
    for title in ("workload", "pynetdicom's AE", "listener", "ratio", "listener MB/s"):
        table.add_column(title, justify="left" if title == "workload" else "right")
    for name, row in figures.items():
        table.add_row(
            name,
            f"{row['default_seconds']:.3f} s",
            f"{row['listener_seconds']:.3f} s",
            f"{row['ratio']:.2f}",
            f"{row['listener_megabytes_per_second']:.0f}",
        )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds and ratio of each workload."""
    write_images(folder / "nothing", 1, 1, 1)
    for name, (count, rows, columns) in WORKLOADS.items():
        write_images(folder / name, count, rows, columns)
    figures = {}
    with default_ae() as default, listener() as ours:
        for name in WORKLOADS:
            seconds: dict[str, list[float]] = {"default": [], "ours": []}
            for _ in range(rounds):
                for receiver, (port, taken) in {"default": default, "ours": ours}.items():
                    start_up = send(folder / "nothing", port)
                    before = taken()
                    seconds[receiver].append(send(folder / name, port) - start_up)
                    assert taken() - before == WORKLOADS[name][0], f"{receiver} did not take every image"
            slow, fast = statistics.median(seconds["default"]), statistics.median(seconds["ours"])
            megabytes = sum(path.stat().st_size for path in (folder / name).iterdir()) / 1e6
            figures[name] = {
                "default_seconds": slow,
                "listener_seconds": fast,
                "ratio": slow / fast,
                "listener_megabytes_per_second": megabytes / fast,
            }
    return figures


def dcmtk_storescu() -> str:
    """pynetdicom installs a storescu of its own beside the interpreter; that one is passed over."""
    own = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != own.resolve()]
    found = shutil.which("storescu", path=os.pathsep.join(folders))
    if found is None:
        sys.exit("DCMTK's storescu is missing: install the Debian package dcmtk")
    return found


def send(folder: Path, port: int) -> float:
    """Seconds that storescu needs for the files of a folder."""
    start = time.perf_counter()
    subprocess.run(
        [dcmtk_storescu(), *LARGE_PDUS, "-aet", SENDER, "-aec", NODE, "+sd", "127.0.0.1", str(port), str(folder)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def write_images(folder: Path, count: int, rows: int, columns: int) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 1 << 14, (rows, columns), dtype=np.uint16).tobytes()
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
        meta.MediaStorageSOPInstanceUID = UID(f"2.25.1{number}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset(str(folder), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID = meta.MediaStorageSOPClassUID
        image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.2", "2.25.3"
        image.Rows, image.Columns = rows, columns
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 14, 13, 0
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.PixelData = pixels
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)


Receiver = tuple[int, Callable[[], int]]  # port, images taken so far


@contextmanager
def default_ae() -> Iterator[Receiver]:
    taken = [0]

    def store(_: evt.Event) -> int:
        taken[0] += 1
        return 0x0000

    ae = AE(ae_title=NODE)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    try:
        yield int(server.server_address[1]), lambda: taken[0]
    finally:
        server.shutdown()


@contextmanager
def listener() -> Iterator[Receiver]:
    taken = [0]

    def store(_: Received) -> None:
        taken[0] += 1

    def refused(caller: RefusedCaller) -> None:
        raise AssertionError(caller.reason)

    node = Node(ae_title=NODE, host="127.0.0.1")
    with Listener(
        node=node, modalities=[Modality(name="bench", ae_title=SENDER)], receive=store, refused=refused, port=0
    ) as running:
        yield running.port, lambda: taken[0]


if __name__ == "__main__":
    main()
