"""Two worker machines beside one: how much more work do they do, and what does the queue itself cost for each image?

A machine is a network namespace with its own link to PostgreSQL and RabbitMQ, and in it a worker of the analysis queue over
Celery; the spool is the share that all of them mount. The model is a stand-in that takes a known time for each image, in one
of two ways:

    elsewhere   it waits, as for a graphics card or an inference server: no core of this machine is needed
    here        it computes on one core: twice the machines need twice the cores

Images per second are taken between a fifth and nine tenths of the work. Without a model, what is left is the queue.

    make bench      or, as root inside a network namespace of its own:  PYTHONPATH=tests python benchmarks/two_machines.py
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import psycopg
import structlog
from brokers import Broker, rabbitmq
from factories import dx_file
from pydicom.uid import ExplicitVRLittleEndian
from rich.console import Console
from servers import Server, postgresql

from config.settings import Settings, parse
from domain.identity import digest
from domain.types import ImageAnswer, InstanceRef, Outcome, Reason, Received, Species
from inference.engine import Answered, Engine
from node.broker import over_celery
from node.parts import open_pipeline, stop_on_signals
from node.worker import ANALYSIS, Worker, embedded

MODEL_SECONDS = 0.4
LEAST_RATIO = 1.8
Where = Literal["elsewhere", "here", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Stands in for the engine: every image takes as long, and is declined."""

    where: Where

    def look(self, path: Path, **_species: Species | None) -> Answered:
        if self.where == "elsewhere":
            time.sleep(MODEL_SECONDS)
        elif self.where == "here":
            end = time.thread_time() + MODEL_SECONDS
            while time.thread_time() < end:
                digest({"some": "work"})
        ref = InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid=path.stem)
        answer = ImageAnswer(ref=ref, outcome=Outcome.DECLINED, reason=Reason(code="no_model"))
        return Answered(answer=answer, radiograph=None)


def work(settings: Settings, where: Where) -> None:
    """A worker machine's one process."""
    stop = stop_on_signals()
    worker = Worker(open_pipeline(settings), cast(Engine, Model(where=where)), stop, queues=(ANALYSIS,))
    worker.run(partial(over_celery, node=settings.node) if settings.node.dispatch == "celery" else embedded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A network namespace; `gateway` is where it reaches the servers."""

    pid: int
    gateway: str


@contextmanager
def machine(number: int) -> Iterator[Machine]:
    own = Path("/proc/self/ns/net").readlink()
    gateway, address, link = f"10.77.{number}.1", f"10.77.{number}.2", f"machine{number}"
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        for command in (
            ["ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", str(holder.pid)],
            ["ip", "address", "add", f"{gateway}/30", "dev", link],
            ["ip", "link", "set", link, "up"],
            [*inside, "ip", "address", "add", f"{address}/30", "dev", "uplink"],
            [*inside, "ip", "link", "set", "uplink", "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        yield Machine(pid=holder.pid, gateway=gateway)
    finally:
        holder.kill()
        holder.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    server: Server
    broker: Broker
    folder: Path

    def images_per_second(self, machines: list[Machine], where: Where, *, images: int, dispatch: str = "celery") -> float:
        name = f"{where}-{dispatch}-{len(machines)}"
        url = self.server.database()
        here = self._settings(name, url, "127.0.0.1", dispatch)
        self._receive(here, images)
        workers = []
        for each in machines:
            there = self._settings(name, url.replace("127.0.0.1", each.gateway), each.gateway, dispatch)
            command = ["nsenter", f"--net=/proc/{each.pid}/ns/net", sys.executable, "-P", __file__, "--work", where]
            workers.append(subprocess.Popen([*command, there.model_dump_json()]))
        try:
            return self._rate(here, images)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()

    def _settings(self, name: str, database_url: str, broker_host: str, dispatch: str) -> Settings:
        node = {
            "data_dir": str(self.folder / name),
            "database_url": database_url,
            "dispatch": dispatch,
            "broker_url": self.broker.url.replace("127.0.0.1", broker_host),
        }
        quiet = {"quiet_seconds": 3600.0, "max_wait_seconds": 3600.0}  # images alone are counted
        return parse({"node": node, "study": quiet, "modality": [{"name": "room-1", "ae_title": "DRROOM1"}]})

    def _receive(self, settings: Settings, images: int) -> None:
        pipeline = open_pipeline(settings)
        data_set = dx_file(self.folder / "one.dcm").read_bytes()
        for number in range(images):
            ref = InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid=f"2.25.{number + 1}")
            pipeline.receive(
                Received(
                    ref=ref,
                    study_instance_uid="2.25.1000000",
                    series_instance_uid="2.25.1000001",
                    transfer_syntax_uid=ExplicitVRLittleEndian,
                    calling_ae="DRROOM1",
                    called_ae="HOUNDSFIELD",
                    peer_host="127.0.0.1",
                    modality="room-1",
                    part10_header=b"",
                    data_set=data_set + str(number).encode(),
                )
            )
        pipeline.ledger.close()

    def _rate(self, settings: Settings, images: int) -> float:
        """Between a fifth and nine tenths: all workers have begun, and none has run dry."""
        first, last = images // 5, images * 9 // 10
        reached: dict[int, float] = {}
        with psycopg.connect(settings.node.database_url, autocommit=True) as connection:
            while last not in reached:
                time.sleep(0.02)
                row = connection.execute("SELECT count(*) FROM task WHERE kind = 'image' AND state = 'done'").fetchone()
                done = row[0] if row else 0
                for mark in (first, last):
                    if done >= mark and mark not in reached:
                        reached[mark] = time.monotonic()
        return (last - first) / (reached[last] - reached[first])


@contextmanager
def trial() -> Iterator[Trial]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgresql(folder / "postgresql", "listen_addresses=*"))
        with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.77.0.0/16 trust\n")
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT pg_reload_conf()")
        broker = stack.enter_context(rabbitmq(folder / "rabbitmq"))
        broker.stop()
        settings = broker.folder / "rabbitmq.conf"
        settings.write_text(f"listeners.tcp.default = 0.0.0.0:{broker.port}\nloopback_users = none\n")
        broker.start()
        yield Trial(server=server, broker=broker, folder=folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40, help="for each trial; ten times as many without a model")
    parser.add_argument("--work", nargs=2, metavar=("WHERE", "SETTINGS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if arguments.work:
        where, settings = arguments.work
        work(Settings.model_validate_json(settings), cast(Where, where))
        return 0

    out = Console(highlight=False, soft_wrap=True)
    ratios = {}
    with trial() as at, machine(1) as one, machine(2) as two:
        for where in ("elsewhere", "here"):
            single = at.images_per_second([one], cast(Where, where), images=arguments.images)
            double = at.images_per_second([one, two], cast(Where, where), images=arguments.images)
            ratios[where] = double / single
            what = f"a model of {MODEL_SECONDS} s, {where}"
            out.print(f"{what:32}1 machine {single:.2f}/s   2 machines {double:.2f}/s   ratio {ratios[where]:.2f}")
        for dispatch in ("celery", "embedded"):
            rate = at.images_per_second([one], "none", images=arguments.images * 10, dispatch=dispatch)
            out.print(f"{f'no model, {dispatch}':32}1 machine {rate:.0f}/s   {1000 / rate:.1f} ms an image")
    cores = os.cpu_count() or 1
    if cores < 4:
        out.print(
            f"{cores} cores are shared by both machines and all servers: the row 'here' cannot double on this machine."
        )
    out.print(f"Load of this machine at the end: {os.getloadavg()[0]:.1f}")
    return int(ratios["elsewhere"] < LEAST_RATIO or (cores >= 4 and ratios["here"] < LEAST_RATIO))


if __name__ == "__main__":
    sys.exit(main())
