"""Ends its own process, as kill -9 does, at the seam that the file HOUNDSFIELD_SEAM names; the file is then gone.

Python loads this in every process whose PYTHONPATH has this folder: the listener is the real one, started as its users do.

    write       half of an image is written
    fsync       all of it is written, nothing is synchronised
    rename      synchronised, without its name
    folder      has its name, the folder is not synchronised
    commit      everything but the commit
    committed   committed, nothing is answered
    response    the answer is on its way to the socket
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

_SEAM = Path(os.environ["HOUNDSFIELD_SEAM"])
_images: set[object] = set()  # connections whose transaction holds a new image
_answer_due = False


def _at(seam: str) -> bool:
    try:
        return _SEAM.read_text(encoding="ascii") == seam
    except FileNotFoundError:
        return False


def _die_at(seam: str) -> None:
    if _at(seam):
        _SEAM.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _before(name: str, check: Any) -> None:
    original = getattr(os, name)

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        check(original, *arguments)
        return original(*arguments, **keywords)

    setattr(os, name, wrapped)


def _writing(original: Any, descriptor: int, data: Any, *_rest: Any) -> None:
    if _at("write") and _path(descriptor).endswith(".part"):
        original(descriptor, bytes(data)[: len(data) // 2])
        _die_at("write")


def _synchronising(_original: Any, descriptor: int) -> None:
    if _path(descriptor).endswith(".part"):
        _die_at("fsync")
    elif Path(_path(descriptor)).is_dir() and "images" in _path(descriptor):
        _die_at("folder")


def _renaming(_original: Any, source: Any, *_rest: Any) -> None:
    if str(source).endswith(".part"):
        _die_at("rename")


def _executed(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    if statement.startswith("INSERT INTO image"):
        _images.add(connection.connection.dbapi_connection)


def _commit(dialect: Any, connection: Any) -> None:
    global _answer_due
    holds_image = getattr(connection, "dbapi_connection", connection) in _images
    if holds_image:
        _die_at("commit")
    _do_commit(dialect, connection)
    if holds_image:
        _images.clear()
        _die_at("committed")
        _answer_due = True


def _sending(name: str) -> None:
    original = getattr(socket.socket, name)

    def wrapped(self: Any, *arguments: Any) -> Any:
        if _answer_due and self.family in (socket.AF_INET, socket.AF_INET6):
            _die_at("response")
        return original(self, *arguments)

    setattr(socket.socket, name, wrapped)


for _name in ("write", "writev", "pwrite"):
    _before(_name, _writing)
for _name in ("fsync", "fdatasync"):
    _before(_name, _synchronising)
for _name in ("rename", "replace", "link"):
    _before(_name, _renaming)
for _name in ("send", "sendall", "sendmsg"):
    _sending(_name)
sa.event.listen(sa.engine.Engine, "before_cursor_execute", _executed)
_do_commit = DefaultDialect.do_commit
DefaultDialect.do_commit = _commit  # type: ignore[method-assign]
