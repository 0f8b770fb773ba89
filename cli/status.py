"""`status`: is the node well? Exit status 0 only if the listener answers a C-ECHO and takes images, and live workers serve
every queue.

A PACS that is down, or refuses results, changes nothing of it: the node is well, and restarting it would mend nothing. It is
the first thing that is said.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.common import (
    DEFAULT_FILE,
    ConfigOption,
    JsonOption,
    console,
    in_words,
    moment,
    print_json,
    print_table,
    settings_from,
)
from config.settings import Settings
from delivery.echo import echo
from domain.errors import HoundsfieldError, PeerUnavailable, SettingsInvalid
from domain.types import Peer
from ledger import alarms, peers, retention
from ledger import status as ledger_status
from node import upkeep
from node.lines import unserved, unserved_in_words
from node.models import used_packages
from node.parts import open_ledger
from node.supervisor import supervised
from node.worker import ANALYSIS, DELIVERY, QUEUES

FRESH_SECONDS = 30.0
MEGABYTE = 1_000_000
ECHO_SECONDS = 5.0
MOST_DUE = 1000  # studies to be deleted, counted no further
WITHOUT = {ANALYSIS: "images wait, and nothing is analysed", DELIVERY: "results wait, and nothing is delivered"}


PartOption = Annotated[
    str, typer.Option("--part", metavar="scp|worker", help="Only whether this part runs well on this machine: for probes.")
]


def status(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False, part: PartOption = "") -> None:
    """Queues, studies in work, destinations, unknown senders, disk and models."""
    settings = settings_from(config)
    if part:
        _require(settings, part)
        return
    report = _collect(settings)
    if json:
        print_json(report)
    else:
        _print(report)
    if not report["ok"]:
        raise typer.Exit(1)


def _require(settings: Settings, part: str) -> None:
    """PeerUnavailable says what is wrong with a part: the whole report would be wrong where the others run elsewhere."""
    if part == "scp":
        fault = _listener(settings)
    elif part == "worker":
        here = f"worker@{socket.gethostname()}:"
        with open_ledger(settings.node).reading() as tx:
            ages = [age for name, age in peers.heartbeats(tx).items() if name.startswith(here)]
        fault = None if min(ages, default=FRESH_SECONDS + 1) <= FRESH_SECONDS else "no worker of this machine is alive"
    else:
        raise SettingsInvalid([f"--part: scp or worker (it is {part!r})"])
    if fault is not None:
        raise PeerUnavailable(fault)


def _collect(settings: Settings) -> dict[str, Any]:
    listener = _listener(settings)
    models = _models(settings)
    names = [to.name for to in settings.destination]
    with open_ledger(settings.node).reading() as tx:
        workers = {part: age for part, age in peers.heartbeats(tx).items() if part.startswith("worker@")}
        notes = peers.notes(tx)
        destinations = peers.destinations(tx, names)
        refused = peers.refused_callers(tx)
        tasks = {
            kind: counts
            for kind, counts in ledger_status.task_counts(tx).items()
            if kind != upkeep.KIND or "dead" in counts  # which is always owed
        }
        studies_in_work = ledger_status.studies_in_work(tx)
        done = ledger_status.done_by_day(tx, days=1)
        open_alarms = alarms.open_alarms(tx)
        parts = supervised(tx)
        left = unserved(tx, settings)
        due = retention.deletable(tx, upkeep.kept_days(settings), limit=MOST_DUE)
    disk = shutil.disk_usage(settings.node.data_dir)
    fresh = [name for name, age in workers.items() if age <= FRESH_SECONDS]
    queues = {queue: sum(queue in notes.get(name, "").split() for name in fresh) for queue in QUEUES}
    unverified = {to.name for to in settings.destination if to.verify == "none"}
    refusing = disk.free < settings.disk.refuse_below_megabytes * MEGABYTE
    report = {
        "ok": listener is None and not refusing and all(queues.values()) and models["models_error"] is None,
        "refusing_images": refusing,
        "listener": {"answers": listener is None, "error": listener},
        "workers": {
            "alive": len(fresh),
            "queues": queues,
            "seconds_since_heartbeat": {name: round(age, 1) for name, age in workers.items()},
        },
        "parts": [asdict(row) | {"last_exit_at": moment(row.last_exit_at)} for row in parts],
        "alarms": [
            {
                "id": row.id,
                "kind": row.kind.value,
                "text": row.text,
                "since": moment(row.since),
                "acknowledged": row.acknowledged_at is not None,
            }
            for row in open_alarms
        ],
        "tasks": tasks,
        "done_today": next(iter(done.values()), {}),
        "studies_in_work": studies_in_work,
        "destinations": [
            {
                "name": row.name,
                "up": row.down_since is None,
                "down_since": moment(row.down_since),
                "next_try_at": moment(row.next_try_at),
                "configured": row.name in names,
                "tried": row.last_ok_at is not None or row.down_since is not None,
                "last_error": row.last_error,
                "last_refusal": row.last_refusal,
                "last_ok_at": moment(row.last_ok_at),
                "waiting": row.states.get("PENDING", 0),
                "verified": row.name not in unverified,
                "stored": row.states.get("STORED", 0),
                "stored_unverified": 0 if row.name in unverified else row.states.get("STORED", 0),
                "refused": row.states.get("REFUSED", 0),
                "dead": row.states.get("DEAD", 0),
            }
            for row in destinations
            if row.name in names or row.name in left or {"REFUSED", "DEAD"} & row.states.keys()
        ],
        "unserved": left,
        "unknown_senders": [
            {
                "calling_ae": row.calling_ae,
                "called_ae": row.called_ae,
                "host": row.peer_host,
                "reason": row.reason,
                "times": row.count,
                "last_at": moment(row.last_at),
            }
            for row in refused
        ],
        "disk": {
            "free_bytes": disk.free,
            "total_bytes": disk.total,
            "refuse_below_bytes": settings.disk.refuse_below_megabytes * MEGABYTE,
            "warn_below_bytes": settings.disk.warn_below_megabytes * MEGABYTE,
        },
        "retention": {"days": upkeep.kept_days(settings), "studies_due": len(due)},
        **models,
    }
    return report | {"attention": _attention(report)}


def _attention(report: dict[str, Any]) -> list[str]:
    """What must not be overlooked though the listener answers."""
    disk, said = report["disk"], []
    if report["refusing_images"]:
        said.append(
            f"IMAGES ARE REFUSED: the disk of data_dir has {disk['free_bytes'] // MEGABYTE} MB left, and [disk] "
            f"refuse_below_megabytes is {disk['refuse_below_bytes'] // MEGABYTE}. Consoles keep theirs; make room."
        )
    for row in report["destinations"]:
        if row["configured"] and not row["up"]:
            tried = f"next try {in_words(row['next_try_at'])}" if row["next_try_at"] else "nothing is to be tried now"
            waits = f"{row['waiting']} document(s) wait, {tried}"
            said.append(f"{row['name']} IS DOWN since {in_words(row['down_since'])}: {waits}. {row['last_error']}")
    said += [f"{unserved_in_words(name, count)}." for name, count in report["unserved"].items()]
    return said


def _disk(disk: dict[str, int]) -> str:
    free = f"{disk['free_bytes'] / 1e9:.1f} GB free"
    if disk["free_bytes"] < disk["refuse_below_bytes"]:
        return f"{free}: IMAGES ARE REFUSED ([disk] refuse_below_megabytes)"
    return free + (": LITTLE ([disk] warn_below_megabytes)" if disk["free_bytes"] < disk["warn_below_bytes"] else "")


def _retention(kept: dict[str, Any]) -> str:
    if not any(kept["days"].values()):
        return "nothing is deleted by itself: see [retention]"
    days = ", ".join(f"{state} {days:g}" if days else f"{state} never" for state, days in kept["days"].items())
    return f"deleted after days: {days}; due now: {kept['studies_due']}"


def _listener(settings: Settings) -> str | None:
    """None when the listener answers, otherwise why not."""
    own = settings.node.ae_title
    host = "127.0.0.1" if settings.node.host in ("0.0.0.0", "::", "") else settings.node.host  # noqa: S104
    try:
        echo(Peer(ae_title=own, host=host, port=settings.node.port, calling_ae=own), timeout_seconds=ECHO_SECONDS)
    except HoundsfieldError as error:
        return str(error)
    return None


def _models(settings: Settings) -> dict[str, Any]:
    """A package that cannot be loaded keeps the workers from starting: it is said here too."""
    try:
        found = [package.identity for package in used_packages(settings) if not package.shadow]
    except HoundsfieldError as error:
        return {"models": [], "models_error": str(error)}
    return {
        "models": [
            {"name": model.name, "version": model.version, "clinical_status": model.clinical_status} for model in found
        ],
        "models_error": None,
    }


def _print(report: dict[str, Any]) -> None:
    for said in report["attention"]:
        console.print(said)
    listener = "answers" if report["listener"]["answers"] else f"DOES NOT ANSWER: {report['listener']['error']}"
    alive = report["workers"]["alive"]
    console.print(f"Listener    {listener}")
    console.print(f"Workers     {alive} alive" if alive else "Workers     NONE ALIVE: nothing will be analysed or delivered")
    for queue, served in report["workers"]["queues"].items():
        if alive and not served:
            console.print(f"Workers     NONE FOR {queue}: {WITHOUT[queue]}")
    if report["alarms"]:
        console.print(f"Alarms      {len(report['alarms'])}: see below")
    console.print(f"Studies     {report['studies_in_work']} in work")
    for kind, counts in report["tasks"].items():
        console.print(f"Tasks       {kind}: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    if report["done_today"]:
        console.print(
            "Today       " + ", ".join(f"{n} {kind}" for kind, n in sorted(report["done_today"].items())) + " done"
        )
    console.print(f"Disk        {_disk(report['disk'])}")
    console.print(f"Retention   {_retention(report['retention'])}")
    for row in report["parts"]:
        if row["restarts"]:
            again = f"started again {row['restarts']} times, the last time after {row['last_exit']}"
            console.print(f"Part        {row['name']} on {row['host']}: {again}, {in_words(row['last_exit_at'])}")
    for model in report["models"]:
        console.print(f"Model       {model['name']} {model['version']} ({model['clinical_status']})")
    if report["models_error"]:
        console.print(f"Model       FAULT: {report['models_error']}")
    elif not report["models"]:
        console.print("Model       none installed: every study will be DECLINED")
    print_table(
        ("destination", "state", "waiting", "stored, not read back", "refused or given up"),
        [
            (row["name"], _state(row), row["waiting"], _unread(row), row["refused"] + row["dead"])
            for row in report["destinations"]
        ],
        none="No destination is configured.",
    )
    for row in report["alarms"]:
        seen = ", seen" if row["acknowledged"] else ""
        console.print(f"ALARM {row['id']:<5} {row['text']} (since {in_words(row['since'])}{seen})")
    for row in report["destinations"]:
        if row["last_error"]:
            console.print(f"{row['name']}: {row['last_error']}")
        if row["refused"] + row["dead"]:
            console.print(f"{row['name']}: {row['last_refusal']}")
            console.print("  These documents are not sent again by themselves: see `tasks list`, then `tasks retry`.")
    if report["unknown_senders"]:
        console.print("Unknown senders:")
        for row in report["unknown_senders"]:
            console.print(f"  {row['reason']} ({row['times']} times, last {in_words(row['last_at'])})")


def _unread(row: dict[str, Any]) -> str:
    return str(row["stored_unverified"]) if row["verified"] else 'not asked for (verify = "none")'


def _state(row: dict[str, Any]) -> str:
    if not row["configured"]:
        return "NOT IN THE SETTINGS"
    if row["down_since"]:
        return f"DOWN since {in_words(row['down_since'])}"
    return "up" if row["tried"] else "not tried yet"
