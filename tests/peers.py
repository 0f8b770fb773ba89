"""Real peers on loopback, each in a folder of its own, waited for until it answers and ended by its own process id.

    with orthanc(tmp_path / "orthanc") as pacs:            DICOM on pacs.dicom_port, REST on pacs.http
    with qrscp(tmp_path / "qrscp") as pacs:                pynetdicom's archive; keeps what it stores in pacs.instances
    with storescp(tmp_path / "scp", "+xi") as pacs:        DCMTK's receiver; its files lie in pacs.folder

A peer that fails to start, or a test that fails while it runs, prints the end of the peer's log.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGES = {
    "Orthanc": "orthanc",
    **dict.fromkeys(["storescp", "storescu", "echoscu", "dsrdump", "dcmpschk", "dcmp2pgm"], "dcmtk"),
    **dict.fromkeys(["dciodvfy", "dcentvfy"], "dicom3tools"),
    **dict.fromkeys(["pdfinfo", "pdftoppm"], "poppler-utils"),
    **dict.fromkeys(["rabbitmqctl", "epmd"], "rabbitmq-server"),
    "postgres": "postgresql",
}
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0
_LOG_LINES = 40
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 0x1


def require_tool(name: str) -> str:
    """The path of an installed program; without it the test is skipped, or fails where HOUNDSFIELD_REQUIRE_INTEROP=1.

    Orthanc also needs a network of its own: it answers on every interface.
    """
    import pytest

    give_up = pytest.fail if os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1" else pytest.skip
    path = _which(name)
    if path is None:
        give_up(f"{name} is not installed (Debian package {_PACKAGES.get(name, name)})")
    if name == "Orthanc" and not isolated():
        give_up("Orthanc listens on every interface: run the tests through scripts/isolated")
    assert path is not None
    return path


def _which(name: str) -> str | None:
    # Debian's first: pynetdicom installs programs of DCMTK's names. And Orthanc lies where only root's PATH looks.
    return shutil.which(name, path=os.pathsep.join(["/usr/bin", "/usr/sbin", os.environ.get("PATH", os.defpath)]))


def isolated() -> bool:
    """Whether no interface but loopback is up. Asked of the kernel: /sys/class/net shows the namespace it was mounted in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode())
            flags = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0]
            if flags & _IFF_UP and name != "lo":
                return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], *, seconds: float = 10.0, what: str = "the condition") -> None:
    """AssertionError when the condition does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    dicom_port: int
    http: str
    folder: Path

    def get(self, path: str) -> Any:
        """JSON of a REST resource, such as `/statistics`."""
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(self.http + path, timeout=30) as answer:  # noqa: S310  the base is our own http://
            return bytes(answer.read())

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(self.http + path, data=json.dumps(body).encode(), method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def instances(self) -> list[str]:
        """Orthanc's own identifiers of all instances."""
        return list(self.get("/instances"))

    def tags(self, instance: str) -> dict[str, Any]:
        """Keyword → value of an instance's top level and sequences."""
        return dict(self.get(f"/instances/{instance}/simplified-tags"))

    def file(self, instance: str) -> bytes:
        """The Part 10 file as Orthanc keeps it."""
        return self.get_bytes(f"/instances/{instance}/file")

    def find(self, **keywords: str) -> list[str]:
        """Instances whose elements match, by keyword: `find(Modality="SR", StudyInstanceUID=…)`."""
        return list(self.post("/tools/find", {"Level": "Instance", "Query": keywords}))


@contextmanager
def orthanc(
    folder: Path,
    *,
    modalities: Mapping[str, tuple[str, str, int]] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Orthanc]:
    """An empty Orthanc. `modalities`: name → (AE title, host, port) of those it can send to; `settings` override its file.

    RuntimeError unless loopback is the only interface: Orthanc 1.10 binds all of them whatever its settings say.
    """
    if not isolated():
        raise RuntimeError("Orthanc listens on every interface: start it through scripts/isolated")
    program = _which("Orthanc")
    if program is None:
        raise RuntimeError("Orthanc is not installed (Debian package orthanc)")
    folder.mkdir(parents=True)
    dicom_port, http_port = free_port(), free_port()
    content: dict[str, object] = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomModalities": {name: list(peer) for name, peer in (modalities or {}).items()},
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "SaveJobs": False,
        **(settings or {}),
    }
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(content, indent=1))
    server = Orthanc(dicom_port=dicom_port, http=f"http://127.0.0.1:{http_port}", folder=folder)

    def answers() -> bool:
        try:
            server.get("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return connects(dicom_port)

    with running([program, str(configuration)], folder=folder, answers=answers):
        yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    ae_title: str
    port: int
    instances: Path


@contextmanager
def qrscp(folder: Path, *, ae_title: str = "PACS") -> Iterator[Archive]:
    """pynetdicom's own archive (`qrscp`), empty: C-ECHO, C-STORE, C-FIND, C-GET on a SQLite index."""
    folder.mkdir(parents=True)
    port = free_port()
    archive = Archive(ae_title=ae_title, port=port, instances=folder / "instances")
    configuration = folder / "qrscp.ini"
    configuration.write_text(
        "[DEFAULT]\n"
        f"ae_title: {ae_title}\nport: {port}\nbind_address: 127.0.0.1\nmax_pdu: 0\n"
        "acse_timeout: 30\ndimse_timeout: 30\nnetwork_timeout: 30\nlog_identifier: False\n"
        f"instance_location: {archive.instances}\ndatabase_location: {folder / 'index.sqlite'}\n"
    )
    command = [sys.executable, "-m", "pynetdicom", "qrscp", "-c", str(configuration)]
    with running(command, folder=folder, answers=lambda: connects(port)):
        yield archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    port: int
    folder: Path

    def files(self) -> list[Path]:
        """What it has received, in the order of names; they hold Modality and SOP Instance UID."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


@contextmanager
def storescp(folder: Path, *flags: str) -> Iterator[Receiver]:
    """DCMTK's receiver; `flags` are its own, such as "+xi" (Implicit VR only), "+B" (bytes as sent), "--refuse"."""
    program = _which("storescp")
    if program is None:
        raise RuntimeError("storescp is not installed (Debian package dcmtk)")
    received = folder / "received"
    received.mkdir(parents=True)
    port = free_port()
    command = [program, *flags, "-od", str(received), str(port)]
    with running(command, folder=folder, answers=lambda: connects(port)):
        yield Receiver(port=port, folder=received)


def connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def running(command: Sequence[str], *, folder: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """A server for as long as the block runs, waited for until it answers, ended by its own process."""
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with status {process.returncode} instead of answering")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not answer within {_START_SECONDS:g} s")
            time.sleep(0.05)
        yield
    except BaseException:
        tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        sys.stderr.write("\n".join([f"--- {Path(command[0]).name}: the end of its log", *tail, "---", ""]))
        raise
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
