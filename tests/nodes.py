"""The node as its users run it: `houndsfield serve` on free loopback ports, in a folder of its own.

with node(tmp_path / "node", destinations=[("orthanc", "ORTHANC", pacs.dicom_port)]) as running:
    …storescu … -aec HOUNDSFIELD 127.0.0.1 running.port
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import free_port

START_SECONDS = 60.0
STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNode:
    port: int
    settings: Path
    folder: Path
    process: subprocess.Popen[bytes]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`houndsfield ARGUMENTS -c SETTINGS`"""
        line = [sys.executable, "-m", "cli", *arguments, "--config", str(self.settings)]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("status", "--json").stdout))

    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")


def write_settings(
    folder: Path,
    *,
    port: int,
    destinations: Sequence[tuple[str, str, int]] = (),
    modality_ae: str = "DRROOM1",
    more: str = "",
    destination_more: str = "",
    node_more: str = "",
    quiet_seconds: float = 0.5,
    data_dir: str = "data",
) -> Path:
    """destinations: (name, AE title, port) on loopback. TOML: `more` of [study], `destination_more` of each of them."""
    blocks = "".join(
        f'[[destination]]\nname = "{name}"\nae_title = "{ae}"\nhost = "127.0.0.1"\nport = {peer_port}\n{destination_more}\n'
        for name, ae, peer_port in destinations
    )
    path = folder / "houndsfield.toml"
    path.write_text(
        f'[node]\nhost = "127.0.0.1"\nport = {port}\ndata_dir = "{data_dir}"\nlanguage = "en"\n{node_more}\n'
        f"[study]\nquiet_seconds = {quiet_seconds}\n{more}\n"
        f'[[modality]]\nname = "room-1"\nae_title = "{modality_ae}"\n{blocks}',
        encoding="utf-8",
    )
    return path


@contextmanager
def node(
    folder: Path,
    *,
    destinations: Sequence[tuple[str, str, int]] = (),
    more: str = "",
    destination_more: str = "",
    node_more: str = "",
    quiet_seconds: float = 0.5,
    environment: dict[str, str] | None = None,
) -> Iterator[RunningNode]:
    """Started, answering C-ECHO and with a live worker; ended by SIGTERM, which must end it with status 0."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = write_settings(
        folder,
        port=port,
        destinations=destinations,
        more=more,
        destination_more=destination_more,
        node_more=node_more,
        quiet_seconds=quiet_seconds,
    )
    command = [sys.executable, "-m", "cli", "serve", "--config", str(settings)]
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | (environment or {}))
    running = RunningNode(port=port, settings=settings, folder=folder, process=process)
    try:
        end = time.monotonic() + START_SECONDS
        while running.command("status").returncode != 0:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the node did not start: {running.log()[-2000:]}")
        yield running
    except BaseException:
        sys.stderr.write(f"--- node: the end of its log\n{running.log()[-4000:]}\n---\n")
        raise
    finally:
        process.terminate()
        try:
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert status == 0, f"serve ended with status {status} after SIGTERM"
