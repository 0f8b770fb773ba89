"""Real servers of a node on many machines: RabbitMQ and HAProxy, each in a folder of its own, on free loopback ports.

with rabbitmq(tmp_path / "rabbitmq") as broker:        broker.url; broker.stop(), .start() and .wipe() in between
with haproxy(tmp_path / "haproxy", [p1, p2]) as port:  a load balancer in front of two listeners
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from peers import connects, free_port, require_tool, running

SCRIPTS = Path("/usr/lib/rabbitmq/bin")  # those in the PATH change to the user rabbitmq


@dataclass(kw_only=True)
class Broker:
    folder: Path
    port: int
    environment: dict[str, str]
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        epmd = ["-address", "127.0.0.1", "-port", self.environment["ERL_EPMD_PORT"]]
        for name, command, port in (
            ("epmd", [require_tool("epmd"), *epmd], int(self.environment["ERL_EPMD_PORT"])),
            (
                "server",
                ["env", *(f"{k}={v}" for k, v in self.environment.items()), str(SCRIPTS / "rabbitmq-server")],
                self.port,
            ),
        ):
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            self._stack.enter_context(running(command, folder=folder, answers=partial(connects, port)))
        self.control("await_startup")

    def stop(self) -> None:
        self._stack.close()

    def wipe(self) -> None:
        """Every queue and message is gone, as after a lost disk."""
        for command in ("stop_app", "reset", "start_app"):
            self.control(command)

    def control(self, *arguments: str) -> str:
        """The output of `rabbitmqctl ARGUMENTS`."""
        command = [str(SCRIPTS / "rabbitmqctl"), *arguments]
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    require_tool("rabbitmqctl")
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "plugins").write_text("[].")
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{port}\n")
    environment = {
        "HOME": str(folder),  # of the Erlang cookie
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"houndsfield{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    broker = Broker(folder=folder, port=port, environment=environment)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@contextmanager
def haproxy(folder: Path, listeners: Sequence[int]) -> Iterator[int]:
    """A TCP load balancer, sticky by source, that names the caller by PROXY protocol version 2; yields its port."""
    program = require_tool("haproxy")
    folder.mkdir(parents=True)
    port = free_port()
    servers = "".join(f"    server listener{each} 127.0.0.1:{each} send-proxy-v2\n" for each in listeners)
    settings = folder / "haproxy.cfg"
    settings.write_text(
        "defaults\n    mode tcp\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n"
        f"listen dicom\n    bind 127.0.0.1:{port}\n    balance source\n{servers}"
    )
    with running([program, "-db", "-f", str(settings)], folder=folder, answers=lambda: connects(port)):
        yield port
