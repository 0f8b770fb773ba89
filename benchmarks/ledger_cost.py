"""What the ledger itself costs, on SQLite and on a PostgreSQL of its own, both with their logs synchronised.

depth     the cost of a study (4 tasks: claimed, ended, the next ones owed) while 10 to 10,000 studies are queued
start     from the commit that owes a task until a waiting thread has claimed it, with 300,000 finished ones in the table
chains    three dependent steps that do nothing, four threads
listener  the commit of an image in one process, while two others claim and end tasks without a pause

python benchmarks/ledger_cost.py [--done 300000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from servers import postgresql

from ledger import schema, tasks
from ledger.store import Ledger, Transaction

DESTINATIONS = {"pacs": 2, "archive": 2}
DEPTHS = (10, 100, 1000, 10_000)
ROUNDS = 9
STUDIES = 10  # timed in a round
STARTS = 100
CHAINS, STEPS, THREADS = 200, 3, 4
IMAGES = 200
DRAIN_SECONDS = 30.0  # longer than the images take; then it ends by itself
FLAT = 1.2

_keys = count()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--done", type=int, default=300_000, help="finished tasks in the table (default 300000)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--drain", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drain:
        drain(*arguments.drain)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with postgresql(folder / "postgresql") as server:
            figures = {
                "SQLite": measure(folder / "sqlite", lambda: "", arguments.done),
                "PostgreSQL": measure(folder / "postgresql-files", server.database, arguments.done),
            }
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    sys.exit(any(figure["depth_ratio"] > FLAT for figure in figures.values()))


def measure(folder: Path, database: Callable[[], str], done: int) -> dict[str, float]:
    """database: the address of another, empty one each time."""
    ledgers = [Ledger(folder / str(depth), database_url=database()) for depth in DEPTHS]
    figures = depths(ledgers)
    for each in ledgers:
        each.close()
    url = database()
    ledger = Ledger(folder, database_url=url)
    figures |= chains(ledger)
    finished(ledger, done)
    figures |= starts(ledger) | listener(ledger, folder, url)
    ledger.close()
    return figures


def owe_study(tx: Transaction) -> None:
    for kind in ("image", "study"):
        tasks.owe(tx, kind, str(next(_keys)), queue="analysis")
    for name in DESTINATIONS:
        tasks.owe(tx, "deliver", str(next(_keys)), queue="delivery", destination=name)


def depths(ledgers: Sequence[Ledger]) -> dict[str, float]:
    """A database for each depth, in turn, so that a busy machine slows them alike; each task that ends owes another."""
    seconds: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    for depth, ledger in zip(DEPTHS, ledgers, strict=True):
        with ledger.transaction() as tx:
            for _ in range(depth):
                owe_study(tx)
        settle(ledger)
    for _ in range(ROUNDS):
        for depth, ledger in zip(DEPTHS, ledgers, strict=True):
            started = time.perf_counter()
            for _ in range(STUDIES):
                one_study(ledger)
            seconds[depth].append((time.perf_counter() - started) / STUDIES)
    medians = {depth: statistics.median(values) * 1000 for depth, values in seconds.items()}
    return {f"study_ms_at_{depth}": value for depth, value in medians.items()} | {
        "depth_ratio": max(medians.values()) / medians[DEPTHS[0]],
        "task_ms": medians[DEPTHS[0]] / 4,
    }


def settle(ledger: Ledger) -> None:
    """What a server does by itself within a minute: after a bulk load it would plan for an empty table."""
    with ledger._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if connection.dialect.name == "sqlite" else "VACUUM ANALYZE")


def one_study(ledger: Ledger) -> None:
    for queue in ("analysis", "analysis", "delivery", "delivery"):
        with ledger.transaction() as tx:
            held = tasks.claim(tx, queue, connections=DESTINATIONS)
        assert held
        with ledger.transaction() as tx:
            tasks.finish(tx, held)
            tasks.owe(tx, held.kind, str(next(_keys)), queue=queue, destination=held.destination)


def chains(ledger: Ledger) -> dict[str, float]:
    for chain in range(CHAINS):
        with ledger.transaction() as tx:
            tasks.owe(tx, "image", f"{chain} 0", queue="analysis")
    ended = threading.Semaphore(0)
    over = threading.Event()

    def work() -> None:
        changes = ledger.changes()
        while not over.is_set():
            with ledger.transaction() as tx:
                held = tasks.claim(tx, "analysis", connections={})
            if held is None:
                changes.wait(1.0, over.is_set)
                continue
            chain, step = held.key.split()
            with ledger.transaction() as tx:
                tasks.finish(tx, held)
                if int(step) + 1 < STEPS:
                    tasks.owe(tx, "image", f"{chain} {int(step) + 1}", queue="analysis")
                else:
                    ended.release()

    with ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        running = [pool.submit(work) for _ in range(THREADS)]
        for _ in range(CHAINS):
            ended.acquire()
        seconds = time.perf_counter() - started
        over.set()
        for each in running:
            each.result()
    return {"chains_per_second": CHAINS / seconds}


def finished(ledger: Ledger, number: int) -> None:
    values = {"kind": "image", "queue": "analysis", "state": "done", "attempts": 0, "priority": 0}
    for first in range(0, number, 10_000):
        with ledger.transaction() as tx:
            dated = values | {"run_at": tx.now, "rank_at": tx.now, "first_at": tx.now, "done_at": tx.now}
            rows = [dated | {"key": f"done {key}"} for key in range(first, min(first + 10_000, number))]
            tx.connection.execute(sa.insert(schema.task), rows)
    settle(ledger)


def starts(ledger: Ledger) -> dict[str, float]:
    claimed: list[float] = []
    ready, over = threading.Event(), threading.Event()

    def wait() -> None:
        changes = ledger.changes()
        while not over.is_set():
            with ledger.transaction() as tx:
                held = tasks.claim(tx, "analysis", connections={})
            if held is None:
                ready.set()
                changes.wait(1.0, over.is_set)
                continue
            claimed.append(time.perf_counter())
            with ledger.transaction() as tx:
                tasks.finish(tx, held)

    waiter = threading.Thread(target=wait)
    waiter.start()
    seconds = []
    for number in range(STARTS):
        ready.clear()
        ready.wait(5)
        time.sleep(0.005 + number % 20 / 1000)  # at any moment of the watcher's round
        before = len(claimed)
        with ledger.transaction() as tx:
            tasks.owe(tx, "image", str(next(_keys)), queue="analysis")
        owed = time.perf_counter()
        while len(claimed) == before:
            time.sleep(0.0005)
        seconds.append(claimed[-1] - owed)
    over.set()
    waiter.join()
    return {"start_ms_p50": quantile(seconds, 50), "start_ms_p95": quantile(seconds, 95)}


def listener(ledger: Ledger, folder: Path, url: str) -> dict[str, float]:
    with ledger.transaction() as tx:
        for _ in range(200):
            owe_study(tx)
    workers = [
        subprocess.Popen([sys.executable, __file__, "--drain", str(folder), url], stdout=subprocess.PIPE) for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    seconds = []
    try:
        for number in range(IMAGES):
            started = time.perf_counter()
            with ledger.transaction() as tx:
                tasks.owe(tx, "received", str(number), queue="kept")
            seconds.append(time.perf_counter() - started)
            time.sleep(0.01)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    return {
        "commit_ms_p50": quantile(seconds, 50),
        "commit_ms_p99": quantile(seconds, 99),
        "commit_ms_max": max(seconds) * 1e3,
    }


def drain(folder: str, url: str) -> None:
    ledger = Ledger(Path(folder), database_url=url)
    print("working", flush=True)
    end = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < end:
        one_study(ledger)


def quantile(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1000


def show(figures: dict[str, dict[str, float]]) -> None:
    rows: list[tuple[str, Callable[[dict[str, float]], str]]] = [
        *((f"a study, {depth} queued", lambda f, d=depth: f"{f[f'study_ms_at_{d}']:.1f} ms") for depth in DEPTHS),
        (f"… deepest to shallowest (at most {FLAT})", lambda f: f"{f['depth_ratio']:.2f}"),
        ("the queue's own cost of a task", lambda f: f"{f['task_ms']:.1f} ms"),
        ("a waiting worker starts after (p50 / p95)", lambda f: f"{f['start_ms_p50']:.0f} / {f['start_ms_p95']:.0f} ms"),
        ("chains of 3 steps per second", lambda f: f"{f['chains_per_second']:.0f}"),
        (
            "an image's commit beside 2 busy workers (p50 / p99 / longest)",
            lambda f: f"{f['commit_ms_p50']:.1f} / {f['commit_ms_p99']:.0f} / {f['commit_ms_max']:.0f} ms",
        ),
    ]
    table = Table(title="The ledger")
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    for title, say in rows:
        table.add_row(title, *(say(figure) for figure in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
