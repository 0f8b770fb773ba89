"""The disk is full for the ledger's write-ahead log, while there is room for the images themselves."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from factories import dx_file
from nodes import write_settings
from peers import connects, free_port, wait_until

from config.settings import load
from delivery.store import StoreResult, StoreState, store
from domain.types import Peer
from ledger import images
from node.parts import open_ledger

ROOM_BYTES = 120_000  # for the log to grow: some commits
MOST_IMAGES = 60


def test_without_room_for_the_log_an_image_is_refused_and_none_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    port = free_port()
    settings = write_settings(tmp_path, port=port)
    data = load(settings).node.data_dir
    peer = Peer(ae_title="HOUNDSFIELD", host="127.0.0.1", port=port, calling_ae="DRROOM1")

    def sent(number: int) -> StoreResult:
        path = dx_file(tmp_path / "in" / f"{number}.dcm", study=number, instance=number, rows=16, columns=16)
        (result,) = store([path], peer, timeout_seconds=20)
        return result

    listener = subprocess.Popen([sys.executable, "-m", "cli", "scp", "--config", str(settings)])
    try:
        wait_until(lambda: connects(port), seconds=30, what="the listener to answer")
        acknowledged = [sent(1)]
        assert acknowledged[0].state is StoreState.STORED
        before = resource.prlimit(listener.pid, resource.RLIMIT_FSIZE)
        room = (data / "ledger.sqlite-wal").stat().st_size + ROOM_BYTES
        resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, (room, before[1]))  # its writes past it fail as on a full disk
        for number in range(2, MOST_IMAGES):
            refused = sent(number)
            if refused.state is not StoreState.STORED:
                break
            acknowledged.append(refused)
        assert refused.status == 0xA700
        assert len(acknowledged) > 1, "there was room for some"
        assert len(list((data / "spool").rglob("*.dcm"))) > len(acknowledged), "the image itself had room"
        resource.prlimit(listener.pid, resource.RLIMIT_FSIZE, before)
        acknowledged.append(sent(number))
        assert acknowledged[-1].state is StoreState.STORED
        assert listener.poll() is None
    finally:
        listener.terminate()
        assert listener.wait(40) == 0
    ledger = open_ledger(load(settings).node)
    with ledger.reading() as tx:
        known = {row.sop_instance_uid: row for study in images.studies(tx) for row in images.of_study(tx, study)}
    ledger.close()
    assert set(known) == {result.sop_instance_uid for result in acknowledged}
    assert all(row.path.is_file() for row in known.values())
    with closing(sqlite3.connect(data / "ledger.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
