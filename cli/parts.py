"""`serve`, `scp`, `worker`: the node and its parts."""

from __future__ import annotations

from cli.common import DEFAULT_FILE, ConfigOption, settings_from
from node import parts
from node.logs import configure


def serve(config: ConfigOption = DEFAULT_FILE) -> None:
    """The node: listener and workers as processes. SIGTERM drains it."""
    settings = settings_from(config)
    configure()
    parts.Supervisor(settings=settings, settings_file=config).run()


def scp(config: ConfigOption = DEFAULT_FILE) -> None:
    """The listener alone."""
    configure()
    parts.run_listener(settings_from(config))


def worker(config: ConfigOption = DEFAULT_FILE) -> None:
    """One worker alone."""
    configure()
    parts.run_worker(settings_from(config))
