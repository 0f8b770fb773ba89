"""Copies of a ledger on PostgreSQL: by the server's own tools, and refused in words where they are not installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from servers import Server

from domain.errors import StorageUnavailable
from ledger import tasks
from ledger.backup import back_up
from ledger.store import Ledger


def test_a_dump_restored_into_another_database_knows_everything(server: Server, tmp_path: Path) -> None:
    pg_restore = shutil.which("pg_restore")
    if pg_restore is None:
        pytest.skip("pg_restore is not installed (Debian package postgresql-client)")
    ledger = Ledger(tmp_path / "data", database_url=server.database())
    with ledger.transaction() as tx:
        tasks.owe(tx, "image", "1", queue="analysis")
    back_up(ledger, tmp_path / "copy")
    url = server.database()
    subprocess.run([pg_restore, "--no-owner", f"--dbname={url}", str(tmp_path / "copy/ledger.dump")], check=True)
    restored = Ledger(tmp_path / "restored", database_url=url)
    assert restored.namespace == ledger.namespace
    with restored.transaction() as tx:
        assert tasks.claim(tx, "analysis", connections={})
        tasks.owe(tx, "image", "2", queue="analysis")  # its numbers go on where they were
    restored.close()
    ledger.close()


def test_without_pg_dump_it_is_refused_in_words(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "data", database_url=server.database())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StorageUnavailable, match="pg_dump is not installed"):
        back_up(ledger, tmp_path / "copy")
    ledger.close()


def test_what_pg_dump_says_is_passed_on_without_the_password(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/pg_dump"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@ refused" >&2\nexit 1\n')
    program.chmod(0o755)
    ledger = Ledger(tmp_path / "data", database_url=server.database().replace("postgres@", "postgres:sesame@"))
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    with pytest.raises(StorageUnavailable, match=r"pg_dump: .* refused") as caught:
        back_up(ledger, tmp_path / "copy")
    assert "sesame" not in str(caught.value)
    ledger.close()
