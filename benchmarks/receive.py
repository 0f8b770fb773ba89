"""How fast images are received, side by side with others: `make bench`, or

    scripts/isolated .venv/bin/python benchmarks/receive.py [--rounds 5] [--json FILE] [--folder DISK]

The same files are sent by DCMTK's storescu, one association per sender, to DCMTK's storescp --fork, storescp --fork +B
(writes the bytes as they come), Orthanc and the node, in turn within each round, so that a busy machine slows them alike.
The node is a process of its own (`houndsfield scp`) and keeps its promise meanwhile: an image is answered after fsync of
file and folder and after the ledger's commit; storescp and Orthanc promise nothing of the kind. Every round sends images
never seen before.

Printed: medians of the rounds, and the ratio to the faster storescp and to Orthanc. Exit status 1 when an image is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers import connects, free_port, orthanc, require_tool, running
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table

NODE = "HOUNDSFIELD"
SENDER = "BENCH"
LARGE_PDUS = ("--max-pdu", "131072", "--max-send-pdu", "131072")
UID_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """rows × columns of 16 bit; bars: the least ratio to the faster storescp and to Orthanc that the project promises."""

    name: str
    senders: int
    images: int
    rows: int
    columns: int
    bars: tuple[float, float]
    per_second: str  # what is counted: "MB" or "images"


WORKLOADS = (
    Workload(name="40 × 14 MB", senders=1, images=40, rows=2800, columns=2500, bars=(1.2, 2.4), per_second="MB"),
    Workload(name="50 × 0.5 MB", senders=1, images=50, rows=500, columns=500, bars=(5, 5), per_second="images"),
    Workload(
        name="8 senders × 50 × 0.5 MB", senders=8, images=50, rows=500, columns=500, bars=(1.2, 1.4), per_second="images"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """`count` says how many images it has kept since `forget`, which is called after each workload."""

    port: int
    count: Callable[[], int]
    forget: Callable[[], None]


class Lost(Exception):
    """A receiver kept fewer images than were sent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each receiver takes each workload (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--folder", type=Path, help="where files are kept meanwhile, on the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        try:
            figures = measure(Path(folder), arguments.rounds)
        except Lost as error:
            sys.exit(f"LOST: {error}")
    Console(width=140).print(as_table(figures, arguments.rounds))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


def as_table(figures: dict[str, dict[str, list[float]]], rounds: int) -> Table:
    table = Table(title=f"Receiving from storescu, per second, median of {rounds} rounds (least to most)")
    for title in ("workload", *next(iter(figures.values())), "node : faster storescp", "node : Orthanc"):
        table.add_column(title, justify="left" if title == "workload" else "right")
    for workload in WORKLOADS:
        rates = figures[workload.name]
        middle = {name: statistics.median(each) for name, each in rates.items()}
        faster = max(rate for name, rate in middle.items() if name.startswith("storescp"))
        ratios = (middle["node"] / faster, middle["node"] / middle["Orthanc"])
        table.add_row(
            workload.name,
            *(f"{middle[name]:.0f} {workload.per_second} ({min(each):.0f}–{max(each):.0f})" for name, each in rates.items()),
            *(f"{ratio:.2f} (wanted {bar:g})" for ratio, bar in zip(ratios, workload.bars, strict=True)),
        )
    return table


def measure(folder: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Workload → receiver → MB or images per second in each round."""
    figures: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        receivers = {
            "storescp --fork": stack.enter_context(storescp(folder / "storescp")),
            "storescp --fork +B": stack.enter_context(storescp(folder / "storescp-b", "+B")),
            "Orthanc": stack.enter_context(orthanc_receiver(folder / "orthanc")),
            "node": stack.enter_context(node(folder / "node")),
        }
        for workload in WORKLOADS:
            files = folder / "files"
            senders = [files / str(sender) for sender in range(workload.senders)]
            for sender in senders:
                write_images(sender, workload)
            amount = float(workload.senders * workload.images)
            if workload.per_second == "MB":
                amount = sum(path.stat().st_size for path in files.glob("*/*")) / 1_000_000
            rates: dict[str, list[float]] = {name: [] for name in receivers}
            for _ in range(rounds):
                for name, receiver in receivers.items():
                    renew(files)
                    os.sync()
                    seconds = send(senders, receiver.port)
                    if (kept := receiver.count()) != workload.senders * workload.images:
                        raise Lost(f"{name} kept {kept} of {workload.senders * workload.images} images")
                    rates[name].append(amount / seconds)
                    receiver.forget()
            figures[workload.name] = rates
            empty(files)
    return figures


def send(folders: list[Path], port: int) -> float:
    """Seconds until every sender, one per folder, has sent its files and ended."""
    program = require_tool("storescu")
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            [program, *LARGE_PDUS, "-aet", SENDER, "-aec", NODE, "+sd", "127.0.0.1", str(port), str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    statuses = [sender.wait() for sender in senders]
    if any(statuses):
        raise Lost("a sender was refused")
    return time.perf_counter() - start


def write_images(folder: Path, workload: Workload) -> None:
    folder.mkdir(parents=True)
    shape = (workload.rows, workload.columns)
    pixels = np.random.default_rng(1).integers(0, 1 << 14, shape, dtype=np.uint16).tobytes()
    for number in range(workload.images):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
        meta.MediaStorageSOPInstanceUID = UID("2.25." + "1" * (UID_LENGTH - 5))
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset(str(folder), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID = meta.MediaStorageSOPClassUID
        image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        image.PatientID = "BENCH"
        image.StudyInstanceUID, image.SeriesInstanceUID = f"2.25.2{folder.name}", f"2.25.3{folder.name}"
        image.Rows, image.Columns = shape
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 14, 13, 0
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.PixelData = pixels
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def renew(files: Path) -> None:
    """Give every file a new SOP Instance UID, in place: file meta information and data set."""
    for path in files.glob("*/*"):
        with path.open("r+b") as file:
            head = file.read(4096)
            new = b"2.25." + str(int.from_bytes(os.urandom(14))).rjust(UID_LENGTH - 5, "7").encode()
            for place in re.finditer(rb"2\.25\.[0-9]{35}", head):
                file.seek(place.start())
                file.write(new)


def empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@contextmanager
def storescp(folder: Path, *flags: str) -> Iterator[Receiver]:
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = [require_tool("storescp"), "--fork", *flags, "-od", str(received), str(port)]
    with running(command, folder=folder, answers=lambda: connects(port)):
        yield Receiver(port=port, count=lambda: len(list(received.iterdir())), forget=lambda: empty(received))


@contextmanager
def orthanc_receiver(folder: Path) -> Iterator[Receiver]:
    with orthanc(folder) as server:

        def forget() -> None:
            for patient in server.get("/patients"):
                url = f"{server.http}/patients/{patient}"
                urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60).close()  # noqa: S310  our own

        yield Receiver(port=server.dicom_port, count=lambda: int(server.get("/statistics")["CountInstances"]), forget=forget)


@contextmanager
def node(folder: Path) -> Iterator[Receiver]:
    folder.mkdir()
    port = free_port()
    settings = folder / "houndsfield.toml"
    settings.write_text(
        f'[node]\nhost = "127.0.0.1"\nport = {port}\ndata_dir = "data"\n'
        f'[[modality]]\nname = "bench"\nae_title = "{SENDER}"\n'
    )
    images = folder / "data" / "spool" / "images"
    forgotten: set[str] = set()

    def kept() -> set[str]:
        return {path.name for path in images.glob("*/*.dcm")}

    command = [sys.executable, "-m", "cli", "scp", "--config", str(settings)]
    with running(command, folder=folder, answers=lambda: connects(port)):
        yield Receiver(port=port, count=lambda: len(kept() - forgotten), forget=lambda: forgotten.update(kept()))


if __name__ == "__main__":
    main()
