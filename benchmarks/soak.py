"""`make soak SECONDS=1800 SEED=1`: consoles of every speed, random kills and PACS outages; then everything is counted.

Two listeners and two workers on one SQLite ledger. One listener and one worker live through all of it, and their memory is
read when they are warm and at the end; the other two are killed again and again. Exit status 1 when an image was lost, an
object was made twice, a task was left, or a process grew by more than 5 %.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from factories import dx_file
from nodes import write_settings
from peers import connects, free_port, wait_until
from rich.console import Console
from rich.table import Table
from storm import Consoles, Mode, Pacs, Parts, Tally, audit, expire_leases, wait_for_all_work

from config.settings import Settings, load
from node.parts import open_ledger

ROUND_SECONDS = 15.0
KILL_SECONDS = (5.0, 25.0)
OUTAGES: tuple[Mode | None, ...] = (None, "busy", "cuts", "hangs", "well", "well")  # None: nobody listens
SIZES = ((120, 150), (300, 400), (700, 900), (1500, 1200))  # rows, columns
WARM_SHARE = 0.2
MOST_GROWTH = 0.05
MEGABYTE = 1_000_000


@dataclass(kw_only=True)
class Soak:
    folder: Path
    settings: Settings
    dice: random.Random
    archives: tuple[Pacs, ...]
    ports: tuple[int, ...]
    steady: Parts
    victims: Parts
    acknowledged: dict[str, Path] = field(default_factory=dict)
    sent: int = 0
    deaths: int = 0

    def round(self) -> None:
        """One console for each port, each with a few studies, while things go wrong."""
        consoles = [
            Consoles(
                self._films(), port, seed=self.dice.randrange(1 << 30), count=self.dice.randint(1, 3), pause_seconds=pause
            )
            for port, pause in zip(self.ports, (0.0, 0.5), strict=True)
        ]
        for console in consoles:
            console.start()
        end = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < end:
            time.sleep(self.dice.uniform(*KILL_SECONDS) * ROUND_SECONDS / 30)
            self._kill()
            self._outage()
        for console in consoles:
            wait_until(console.done, seconds=120, what="every image to be taken")
            self.acknowledged |= console.acknowledged

    def survivors(self) -> list[int]:
        """The processes that nobody kills."""
        return [*self.steady.pids("scp"), *self.steady.pids("worker")]

    def memory(self) -> dict[str, int]:
        """Bytes that only this process holds, of those that live through it and of their decoders."""
        found = {}
        for command in ("scp", "worker"):
            (pid,) = self.steady.pids(command)
            process = psutil.Process(pid)
            found[command] = process.memory_full_info().uss
            for child in process.children():
                found[f"{command}'s decoder"] = child.memory_full_info().uss
        return found

    def _films(self) -> list[Path]:
        files = []
        for _ in range(self.dice.randint(5, 15)):
            self.sent += 1
            rows, columns = self.dice.choice(SIZES)
            path = self.folder / "in" / f"{self.sent}.dcm"
            files.append(dx_file(path, study=self.sent // 3 + 1, instance=self.sent, rows=rows, columns=columns))
        return files

    def _kill(self) -> None:
        victims = self.victims.pids(self.dice.choice(("scp", "worker")))
        if victims:
            self.victims.kill(victims[0])
            self.deaths += 1

    def _outage(self) -> None:
        archive, how = self.dice.choice(self.archives), self.dice.choice(OUTAGES)
        if how is None:
            archive.away()
            return
        if not archive.listens:
            archive.back()
        archive.behave(how)

    def end(self) -> Tally:
        for archive in self.archives:
            archive.behave("well")
            if not archive.listens:
                archive.back()
        ledger = open_ledger(self.settings.node)
        expire_leases(ledger)
        wait_for_all_work(ledger, seconds=1800, hurry=True)
        ledger.close()
        return audit(self.settings, self.archives, self.acknowledged)


@contextmanager
def running(folder: Path, seed: int) -> Iterator[Soak]:
    ports = (free_port(), free_port())
    with ExitStack() as stack:
        archives = tuple(stack.enter_context(Pacs(name)) for name in ("pacs", "other"))
        files = []
        for number, port in enumerate(ports):
            place = folder / f"listener-{number}"
            place.mkdir()
            # The same ledger and spool, another port.
            files.append(
                write_settings(
                    place,
                    port=port,
                    destinations=[(each.name, each.ae_title, each.port) for each in archives],
                    destination_more="timeout_seconds = 10.0",
                    data_dir="../data",
                )
            )
        steady, victims = (stack.enter_context(Parts(file, ["scp", "worker"])) for file in files)
        wait_until(lambda: all(map(connects, ports)), seconds=60, what="the listeners to answer")
        yield Soak(
            folder=folder,
            settings=load(files[0]),
            dice=random.Random(seed),  # noqa: S311  a storm that can be had again
            archives=archives,
            ports=ports,
            steady=steady,
            victims=victims,
        )


def main() -> int:
    seed, seconds = int(os.environ.get("SEED") or "1"), float(os.environ.get("SECONDS") or "1800")
    console = Console()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), seed) as soak:
        started, warm, survivors = time.monotonic(), dict[str, int](), soak.survivors()
        while (passed := time.monotonic() - started) < seconds:
            soak.round()
            if passed >= WARM_SHARE * seconds and not warm:
                warm = soak.memory()
            console.print(f"{passed:6.0f} s: {len(soak.acknowledged)} images acknowledged, {soak.deaths} deaths")
        tally = soak.end()
        last = soak.memory()
        died = survivors != soak.survivors()
    grown = {name: last[name] / warm[name] - 1 for name in warm if name in last}
    table = Table("", "", title=f"{seconds:g} s, seed {seed}")
    for name, value in (
        ("images acknowledged", tally.acknowledged),
        ("deaths", soak.deaths),
        ("images lost", len(tally.lost)),
        ("objects twice", len(tally.twice)),
        ("documents not delivered", len(tally.undelivered)),
        ("tasks left", len(tally.unfinished)),
        *((f"memory of {name}", f"{warm[name] / MEGABYTE:.0f} → {last[name] / MEGABYTE:.0f} MB") for name in grown),
    ):
        table.add_row(name, str(value))
    console.print(table)
    faults = tally.faults + [f"{name} grew by {share:.0%}" for name, share in grown.items() if share > MOST_GROWTH]
    if died:
        faults.append("a process that nobody killed was started again")
    for fault in faults:
        console.print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
