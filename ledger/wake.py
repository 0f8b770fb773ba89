"""Telling waiting threads that something was committed, by whatever process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STOP_LOOK_SECONDS = 0.1


class Wake:
    """One watcher thread per ledger, however many threads wait: each on its own would cost the sum.

    watch: calls its first argument after commits until its second says to end.
    """

    def __init__(self, watch: Callable[[Callable[[], None], Callable[[], bool]], None]) -> None:
        self._watch = watch
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def changes(self) -> Changes:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)
                self._thread.start()
            return Changes(self, self._count)

    def wait(self, seen: int, seconds: float, stopped: Callable[[], bool]) -> int:
        """The count of changes, as soon as it is not `seen`, after `seconds`, or when stopped."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._count == seen and not stopped():
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, STOP_LOOK_SECONDS))
            return self._count

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        self._watch(self._note, lambda: self._closed)

    def _note(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()


class Changes:
    """What one thread has seen of the commits."""

    def __init__(self, wake: Wake, seen: int) -> None:
        self._wake = wake
        self._seen = seen

    def wait(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Return when something was committed since the last call, after `seconds`, or when stopped."""
        self._seen = self._wake.wait(self._seen, seconds, stopped)

    def close(self) -> None:
        """The watcher belongs to the ledger and ends with it."""
