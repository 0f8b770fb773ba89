"""`serve`, `scp`, `worker`: the node and its parts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, settings_from
from domain.errors import SettingsInvalid
from node import parts
from node.logs import configure
from node.supervisor import Supervisor, all_parts, worker_parts
from node.worker import QUEUES

QueueOption = Annotated[
    str,
    typer.Option("--queue", metavar="|".join(QUEUES), help="Serve this queue alone, such as where each is scaled apart."),
]


def serve(config: ConfigOption = DEFAULT_FILE) -> None:
    """The node: listener and workers as processes. SIGTERM drains it."""
    settings = settings_from(config)
    configure()
    parts.require_startable(settings)
    Supervisor(settings=settings, settings_file=config).run(all_parts(settings))


def scp(config: ConfigOption = DEFAULT_FILE) -> None:
    """The listener alone."""
    configure()
    parts.run_listener(settings_from(config))


def worker(config: ConfigOption = DEFAULT_FILE, queue: QueueOption = "") -> None:
    """One worker alone."""
    configure()
    settings = settings_from(config)
    if queue and queue not in QUEUES:
        raise SettingsInvalid([f"--queue: {' or '.join(QUEUES)} (it is {queue!r})"])
    if settings.node.dispatch == "celery" and not queue:
        Supervisor(settings=settings, settings_file=config).run(worker_parts(settings))
    else:
        parts.run_worker(settings, (queue,) if queue else QUEUES)
