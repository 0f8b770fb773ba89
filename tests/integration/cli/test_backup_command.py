"""`houndsfield backup` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nodes import write_settings
from peers import free_port

from ledger.store import Ledger


def test_a_backup_says_what_it_holds_and_refuses_a_folder_in_use(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, port=free_port())
    Ledger(tmp_path / "data").close()
    line = [sys.executable, "-m", "cli", "backup", str(tmp_path / "copy"), "--json", "--config", str(settings)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "copy"), "files": 0, "bytes": 0, "missing": 0}
    assert (tmp_path / "copy/ledger.sqlite").is_file()
    again = subprocess.run(line, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr == f"houndsfield: {tmp_path / 'copy'} is not empty: a backup needs a folder of its own\n"
