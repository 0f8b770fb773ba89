"""`make chaos SEED=1 SECONDS=60`: random kills and outages on each way of running a node, and what was lost or doubled.

Exit status 1 when anything was.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from storm import BACKENDS, chaos

KILL_EVERY_SECONDS = 1.0


def main() -> int:
    seed, seconds = int(os.environ.get("SEED") or "1"), float(os.environ.get("SECONDS") or "60")
    console = Console()
    table = Table("ledger", "deaths", "acknowledged", "lost", "twice", "not delivered", "tasks left", title=f"seed {seed}")
    faults: list[str] = []
    for name in BACKENDS:
        console.print(f"{name}: {seconds:g} s, a death every {KILL_EVERY_SECONDS:g} s …")
        with tempfile.TemporaryDirectory() as folder:
            tally = chaos(Path(folder), name, seed=seed, seconds=seconds, kill_every_seconds=KILL_EVERY_SECONDS)
        counts = (tally.deaths, tally.acknowledged, len(tally.lost), len(tally.twice), len(tally.undelivered))
        table.add_row(name, *map(str, counts), str(len(tally.unfinished)))
        faults += [f"{name}: {fault}" for fault in tally.faults]
    console.print(table)
    for fault in faults:
        console.print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
