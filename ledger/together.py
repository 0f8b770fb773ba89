"""One commit for all who come at once.

A commit's fsync takes as long for one image as for ten, and on SQLite one waits for the other. Whoever comes while another
commits waits for it, and the next commit is for all who have come meanwhile: one of them, the leader, does everybody's work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from domain.errors import StorageUnavailable

if TYPE_CHECKING:
    from ledger.store import Transaction

T = TypeVar("T")


class _Member:
    """done: what `work` returned, set by the leader after the commit; or the fault that the member's own thread raises."""

    def __init__(self, work: Callable[[Transaction], Any]) -> None:
        self.work = work
        self.done: Future[Any] = Future()


class Together:
    def __init__(self, transaction: Callable[[], AbstractContextManager[Transaction]], *, wait_seconds: float) -> None:
        self._transaction = transaction
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._waiting: list[_Member] = []
        self._led = False

    def do(self, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, when it is committed. StorageUnavailable when that fails, or is too long in coming."""
        member, group = _Member(work), list[_Member]()
        with self._changed:
            self._waiting.append(member)
            self._changed.wait_for(lambda: not self._led or member not in self._waiting, self._wait_seconds)
            if member in self._waiting:
                if self._led:
                    self._waiting.remove(member)
                    raise StorageUnavailable("ledger: database is locked by another thread")
                self._led, group, self._waiting = True, self._waiting, []
        if group:
            try:
                self._lead(group)
            finally:
                with self._changed:
                    self._led = False
                    self._changed.notify_all()
        return cast(T, member.done.result())  # whom a leader has taken waits for it: nobody else knows what became of it

    def _lead(self, group: Sequence[_Member]) -> None:
        working = False
        try:
            with self._transaction() as tx:
                working = True
                results = [member.work(tx) for member in group]
                working = False
        except BaseException as error:  # noqa: BLE001  raised again in the threads whose work it was: they wait for it
            if working and len(group) > 1:  # one of them broke, and must not take the others along
                for member in group:
                    self._lead([member])
                return
            for member in group:
                member.done.set_exception(error)
            return
        for member, result in zip(group, results, strict=True):
            member.done.set_result(result)
