"""The parent's side of the decoder's process: ask it for an image, and start it again when it is gone."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter

from domain.errors import ImageUnreadable
from domain.types import Radiograph, Species
from inference.grayscale import Grays
from inference.image import NotAnImage

MESSAGE_BYTES = 1 << 16
# The process bounds its own work; one that does not even say so, stopped or starved, is ended.
SILENT_SECONDS = 90.0

_FIELDS = {name: TypeAdapter(hint) for name, hint in get_type_hints(Radiograph).items() if name != "pixels"}


class Decoder:
    """Reads one image at a time; may be called from several threads. The process ends with this object, or with ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._asked = 0

    def start(self) -> None:
        """Returns at once; the process gets ready meanwhile."""
        with self._lock:
            self._running()

    def read(self, path: Path, *, assumed_species: Species | None) -> Radiograph:
        """NotAnImage or ImageUnreadable where there is no image to show.

        OSError when this machine is out of something, or its disk is: that says nothing about the image.
        """
        with self._lock:
            self._asked += 1
            question = {"number": self._asked, "path": os.fspath(path.absolute()), "assumed_species": assumed_species}
            answer, memory = self._ask(question)
        if answer.get("not_an_image"):
            raise NotAnImage("the object holds no image")
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "fault" in answer:
            raise ImageUnreadable(answer["fault"], **answer.get("details", {}))
        if not memory:  # recvmsg(2) leaves out what there is no descriptor for
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        try:
            pixels = _mapped(memory[0], answer["rows"], answer["columns"])
        finally:
            os.close(memory[0])
        said = {name: _FIELDS[name].validate_python(value) for name, value in answer["radiograph"].items()}
        return Radiograph(pixels=pixels, **said)

    def close(self) -> None:
        """Ends the process and waits for it."""
        with self._lock:
            if self._process is not None:
                self._process.end()
                self._process = None

    def _running(self) -> _Process:
        if self._process is None:
            self._process = _Process()
        return self._process

    def _ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """A process that is gone is started again, once: what an image breaks is its child, and is told of."""
        for _ in range(2):
            process = self._running()
            try:
                return process.ask(question)
            except _Gone as gone:
                process.end()
                self._process = None
                if gone.silent:
                    return {"fault": "took_too_long"}, []
        raise OSError(errno.ECHILD, "the decoder cannot be started")


class _Gone(Exception):
    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent


class _Process:
    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # -P: nothing is imported from the folder it happens to start in
                [sys.executable, "-P", "-m", "inference.decoder_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # codecs print what they stumble over
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # it forks: one thread
            )
        self._socket = ours
        self.end = weakref.finalize(self, _end, self._process, ours)

    def ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """The answer, and the shared memory that it comes with."""
        try:
            self._socket.send(json.dumps(question).encode())
        except OSError:
            raise _Gone from None
        while True:
            answer, memory = self._receive()
            if answer["number"] == question["number"]:  # otherwise of a child that broke after it had answered
                return answer, memory
            _close(memory)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        answered = select.poll()
        answered.register(self._socket, select.POLLIN)
        if not answered.poll(SILENT_SECONDS * 1000):
            raise _Gone(silent=True)
        try:
            answer, memory, flags, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
        except OSError:
            raise _Gone from None
        if not answer or flags & socket.MSG_TRUNC:  # ended, or broken: no child sends more than a message holds
            _close(memory)
            raise _Gone
        return json.loads(answer), memory


def _close(memory: list[int]) -> None:
    for descriptor in memory:
        os.close(descriptor)


def _end(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    ours.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _mapped(memory: int, rows: int, columns: int) -> Grays:
    """Shared memory as an image, which lives as long as the array does. It is sealed: it can no longer shrink under us."""
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    if os.fstat(memory).st_size != rows * columns * 4:
        raise ImageUnreadable("size_contradicts")
    mapped = mmap.mmap(memory, rows * columns * 4, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, dtype=np.float32).reshape(rows, columns)
