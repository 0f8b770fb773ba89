"""Structured log lines on standard error: times, words and UIDs, never an animal's or owner's identity."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import Any, TextIO, cast

import structlog


def configure() -> None:
    """Key=value lines for a person or a collector; colours only on a terminal."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    quiet_libraries()
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.LogfmtRenderer(key_order=["at", "level", "event"])
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unbreakable())),
        cache_logger_on_first_use=True,
    )


def quiet_libraries() -> None:
    """What they say of a file may quote it, and an outage floods; the rooms say the same in words, once."""
    logging.captureWarnings(True)
    for name in ("pydicom", "pynetdicom", "py.warnings", "celery", "kombu", "amqp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # An acknowledgement that the lost connection took along is critical to Celery; here the message is sent again.
    logging.getLogger("celery.worker.request").setLevel(logging.CRITICAL + 1)


class _Unbreakable:
    """Standard error, if somebody still reads it: a full disk or a closed pipe must not break the work that is told of."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


class Outage:
    """Something many threads need is out of reach: said once when it begins, and once when it ends."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lasts = False
        self._lock = threading.Lock()

    def began(self, error: BaseException) -> bool:
        """Whether it begins with this."""
        with self._lock:
            begins, self._lasts = not self._lasts, True
        if begins:
            structlog.get_logger().warning(f"{self._what} does not answer; work waits for it", error=str(error))
        return begins

    def ended(self) -> None:
        with self._lock:
            ends, self._lasts = self._lasts, False
        if ends:
            structlog.get_logger().info(f"{self._what} answers again")
