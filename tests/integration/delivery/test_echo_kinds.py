"""`houndsfield echo` for destinations that are no application entities: what they are, or what is wrong, in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from peers import free_port


def test_echo_says_of_every_kind_what_it_is_or_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    settings = tmp_path / "houndsfield.toml"
    settings.write_text(
        '[[destination]]\nname = "here"\nkind = "folder"\npath = "share"\n'
        '[[destination]]\nname = "away"\nkind = "folder"\npath = "not-mounted"\n'
        f'[[destination]]\nname = "web"\nkind = "dicomweb"\nurl = "http://127.0.0.1:{free_port()}/dicom-web"\n'
        f'[[destination]]\nname = "rest"\nkind = "orthanc"\nurl = "http://127.0.0.1:{free_port()}"\n',
        encoding="utf-8",
    )
    line = [sys.executable, "-m", "cli", "echo", "--config", str(settings), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1  # not all of them answer
    here, away, web, rest = json.loads(done.stdout)
    assert here["answers"] and "can be written to" in here["says"] and here["error"] is None
    assert not away["answers"] and "mount its share" in away["error"]
    for entry in (web, rest):
        assert not entry["answers"] and "refused the connection" in entry["error"]
    assert list((tmp_path / "share").iterdir()) == []
