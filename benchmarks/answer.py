"""How long a vet waits: from the last C-STORE response to the SR and the overlays found in Orthanc.

20 studies of three distinct lateral phantoms of 3000 × 2400 pixels, 16 bits each, one study after another, through real
parts: this node as `houndsfield serve`, Orthanc as the PACS, C-STORE over loopback. Printed: the median less the settings'
quiet_seconds, and what the stages took.

    make bench      or, inside a network namespace that only has loopback:  python benchmarks/answer.py
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
from pydicom import dcmread
from pydicom.uid import UID
from rich.console import Console
from rich.progress import track

from delivery.echo import echo
from delivery.send import send_files
from delivery.store import StoreState
from domain.errors import PeerUnavailable
from domain.identity import Identity
from domain.types import Peer
from phantoms.study import make_study

ROWS, COLUMNS = 2400, 3000
QUIET_SECONDS = 3.0
LIMIT_SECONDS = 60.0
console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--seed", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="houndsfield-bench-") as name:
        folder = Path(name)
        studies = [
            _study(options.seed, number, folder)
            for number in track(range(options.studies), description="Phantoms", console=console)
        ]
        with peers.orthanc(folder / "orthanc") as pacs, _node(folder, pacs.dicom_port) as node:
            waits = [_one(paths, node, pacs) for paths in track(studies, description="Studies", console=console)]
        stages = _stages(folder / "node.log")
        scores = _scores(folder)
    _print(waits, stages)
    print(f"images with a measured VHS: {scores} of {3 * options.studies}")
    print(json.dumps({"median_seconds": round(statistics.median(waits), 3), "studies": len(waits), "measured": scores}))
    return 0 if scores == 3 * options.studies else 1


def _study(seed: int, number: int, folder: Path) -> list[Path]:
    """Three laterals as one study. Two sets of three are rendered; every study gets UIDs of its own."""
    base = folder / f"base-{number % 2}"
    if not base.exists():
        first = seed + 2 * (number % 2)
        make_study(first, directory=base / "a", rows=ROWS, columns=COLUMNS, views=("lateral-right", "lateral-left"))
        make_study(first + 1, directory=base / "b", rows=ROWS, columns=COLUMNS, views=("lateral-right",))
    target = folder / f"study-{number:03}"
    target.mkdir()
    paths = []
    for position, source in enumerate(sorted(base.rglob("*.dcm"))):
        ds = dcmread(source)
        ds.StudyInstanceUID = Identity().uid("bench", seed, number)
        ds.SeriesInstanceUID = Identity().uid("bench", seed, number, position)
        ds.SOPInstanceUID = UID(Identity().uid("bench", seed, number, position, "image"))
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        path = target / f"{position}.dcm"
        ds.save_as(path)
        paths.append(path)
    if len(paths) != 3:
        raise SystemExit(f"expected three distinct images, not {len(paths)}")
    return paths


@contextmanager
def _node(folder: Path, pacs_port: int) -> Iterator[Peer]:
    port = peers.free_port()
    settings = folder / "node.toml"
    settings.write_text(
        f"""[node]
host = "127.0.0.1"
port = {port}
data_dir = "node"
language = "en"
[study]
quiet_seconds = {QUIET_SECONDS}
[[modality]]
name = "bench"
ae_title = "DRROOM1"
[[destination]]
name = "orthanc"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs_port}
""",
        encoding="utf-8",
    )
    node = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=port, calling_ae="DRROOM1")
    command = [sys.executable, "-m", "cli", "serve", "--config", str(settings)]
    with (folder / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _await(node)
            yield node
        finally:
            process.terminate()
            process.wait(60)


def _await(node: Peer) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            echo(node, timeout_seconds=5.0)
        except PeerUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _one(paths: list[Path], node: Peer, pacs: peers.Orthanc) -> float:
    """Seconds from the last response to 1 SR and 3 overlays in Orthanc, less the quiet time."""
    sent = send_files(paths, node, timeout_seconds=30.0)
    start = time.monotonic()
    assert all(result.state is StoreState.STORED for result in sent.results)
    study = dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID
    while time.monotonic() - start < LIMIT_SECONDS:
        found = [len(pacs.find(StudyInstanceUID=study, Modality=modality)) for modality in ("SR", "OT")]
        if found == [1, 3]:
            return time.monotonic() - start - QUIET_SECONDS
        time.sleep(0.02)
    raise SystemExit(f"no results within {LIMIT_SECONDS:g} s: {found[0]} SR, {found[1]} overlays")


def _stages(log: Path) -> dict[str, list[float]]:
    stages: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, seconds = re.search(r"\bkind=(\w+)", line), re.search(r"\bseconds=([\d.]+)", line)
        if 'event="task ended"' in line and kind and seconds:
            stages[kind[1]].append(float(seconds[1]))
    return stages


def _scores(folder: Path) -> int:
    from ledger import images
    from ledger.store import Ledger

    with Ledger(folder / "node").transaction() as tx:
        rows = [row for study in images.studies(tx) for row in images.of_study(tx, study)]
    return sum(
        bool(finding.measurements)
        for row in rows
        if row.answer
        for answer in row.answer.models
        for finding in answer.findings
    )


def _print(waits: list[float], stages: dict[str, list[float]]) -> None:
    print(f"\n{len(waits)} studies of 3 images, {COLUMNS} × {ROWS}, 16 bits")
    print(
        f"last C-STORE response → SR and 3 overlays in Orthanc, less {QUIET_SECONDS:g} s quiet: "
        f"median {statistics.median(waits):.2f} s, min {min(waits):.2f}, max {max(waits):.2f}"
    )
    names = {"image": "image: read, model, overlay", "study": "study: SR", "deliver": "C-STORE", "verify": "C-FIND"}
    total = sum(map(sum, stages.values())) or 1.0
    for kind, seconds in stages.items():
        print(
            f"  {names.get(kind, kind):28} median {1000 * statistics.median(seconds):6.0f} ms"
            f"   {100 * sum(seconds) / total:3.0f} % of the work"
        )


if __name__ == "__main__":
    sys.exit(main())
