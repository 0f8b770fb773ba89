"""The process that reads images: `python -m inference.decoder_process SOCKET`, started and asked by `inference.decoder`.

It imports everything once and then forks for each image. A child has bounds on memory and time, reads one file, hands its
pixels over in anonymous shared memory, and ends: what a hostile file breaks, leaks or hangs is one child. Questions and
answers are JSON, one message each, on a socket that keeps messages whole; the end of the socket ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import mmap
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domain.errors import ImageUnreadable
from domain.types import Radiograph, Species
from inference.grayscale import Grays
from inference.image import NotAnImage, compose

MESSAGE_BYTES = 1 << 16
READING_BYTES = 1 << 30  # of address space beyond the warm process's own, until the image's size is known
BASE_BYTES = 192 << 20  # and when it is known: this much,
BYTES_A_SAMPLE = 24  # and this for each sample: file, codestream, 32-bit coefficients, words, grays
CPU_SECONDS = 20
PR_SET_PDEATHSIG = 1  # prctl(2): a child that outlives this process would keep the socket open, and its parent waiting
# Of this machine, its disk or a share: another time the same file may be read.
_NOT_THE_FILE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.ENODEV, errno.EHOSTDOWN}
)
WALL_SECONDS = 60  # on a machine that is busy with other things


def main() -> None:
    """Until the parent closes its end."""
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        for number in (signal.SIGINT, signal.SIGTERM):  # meant for the parent, which drains first
            signal.signal(number, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold an animal's name
        held_bytes = held_bytes_now()
        prctl = ctypes.CDLL(None).prctl
        gc.collect()
        gc.freeze()  # the children share what was imported
        while message := parent.recv(MESSAGE_BYTES):
            question = json.loads(message)
            child = os.fork()
            if child == 0:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                _answer(parent, question, held_bytes)
                os._exit(0)
            status = _wait(child, parent)
            if status != 0:
                slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
                fault = "took_too_long" if slow else "decoder_died"
                parent.send(json.dumps({"number": question["number"], "fault": fault}).encode())


def _wait(child: int, parent: socket.socket) -> int:
    """The child's wait status; without a parent, nobody waits for the answer."""
    ended = os.pidfd_open(child)
    watch = select.poll()
    watch.register(ended, select.POLLIN)
    watch.register(parent, select.POLLRDHUP)
    happened = dict(watch.poll())
    if ended not in happened:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    return os.waitpid(child, 0)[1]


def _answer(parent: socket.socket, asked: dict[str, Any], held_bytes: int) -> None:
    """In the child."""
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    shared: list[int] = []
    try:
        answer = _read(Path(asked["path"]), asked["assumed_species"], held_bytes, shared)
    except NotAnImage:
        answer = {"not_an_image": True}
    except ImageUnreadable as error:
        answer = {"fault": error.fault, "details": error.details}
    except MemoryError:
        answer = {"fault": "needs_memory"}
    except OSError as error:
        answer = {"errno": error.errno} if error.errno in _NOT_THE_FILE else {"fault": "structure_broken"}
    except Exception:  # noqa: BLE001  whatever else the broken bytes provoke: the answer is that they are broken
        answer = {"fault": "structure_broken"}
    message = json.dumps({"number": asked["number"], **answer}, default=_plain).encode()
    if len(message) > MESSAGE_BYTES:
        answer = {"fault": "structure_broken"}
        message = json.dumps({"number": asked["number"], **answer}).encode()
    socket.send_fds(parent, [message], shared if "radiograph" in answer else [])


def _read(path: Path, assumed_species: str | None, held_bytes: int, shared: list[int]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            bound_memory(held_bytes + size_bytes + READING_BYTES)
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if size_bytes else memoryview(b"")
    except OSError as error:
        if error.errno in _NOT_THE_FILE:
            raise
        raise ImageUnreadable("cannot_open", why=error.strerror or "unknown") from error

    def canvas(rows: int, columns: int) -> Grays:
        memory = os.memfd_create("grays", os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, rows * columns * 4)
        shared.append(memory)
        # Populated at once, which is faster than page by page.
        mapped = mmap.mmap(memory, rows * columns * 4, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        return np.frombuffer(mapped, dtype=np.float32).reshape(rows, columns)

    def bounded(samples: int) -> None:
        bound_memory(held_bytes + size_bytes + BASE_BYTES + BYTES_A_SAMPLE * samples)

    species = Species(assumed_species) if assumed_species else None
    radiograph = compose(content, assumed_species=species, canvas=canvas, bounded=bounded)
    said = {each.name: getattr(radiograph, each.name) for each in fields(Radiograph) if each.name != "pixels"}
    return {"radiograph": said, "rows": radiograph.rows, "columns": radiograph.columns}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def bound_memory(most_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard), hard))


def held_bytes_now() -> int:
    """This process's address space (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE


if __name__ == "__main__":
    main()
