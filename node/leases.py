"""The tasks that run in this process: what the heartbeat renews, and what a clean stop gives back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ledger.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    task: Task
    since: float  # time.monotonic()


class Leases:
    """Shared by the lanes and the heartbeat. A handler that claims more than its own task holds these here too."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, *tasks: Task) -> Iterator[None]:
        since = time.monotonic()
        with self._lock:
            self._held |= {task.id: Held(task=task, since=since) for task in tasks}
        try:
            yield
        finally:
            with self._lock:
                for task in tasks:
                    self._held.pop(task.id, None)

    def all(self) -> list[Held]:
        with self._lock:
            return list(self._held.values())
