"""Orthanc runs only where nobody outside can reach it, and a missing tool is never passed over in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import peers
import pytest

ROOT = Path(__file__).resolve().parents[3]
ISOLATED = ROOT / "scripts" / "isolated"


def _can_isolate() -> bool:
    command = ["unshare", "--map-root-user", "--net", "true"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _can_isolate(), reason="this machine allows no network namespaces")
def test_the_script_leaves_loopback_alone_and_passes_the_exit_status_on() -> None:
    probe = (
        "import socket, sys; sys.path.insert(0, 'tests'); import peers; assert peers.isolated();"
        "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), timeout=5); sys.exit(7)"
    )
    done = subprocess.run([ISOLATED, sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr


def test_the_script_passes_arguments_as_they_are() -> None:
    done = subprocess.run([ISOLATED, "printf", "%s|", "a b", "$HOME", '"'], capture_output=True, text=True)
    assert done.stdout == 'a b|$HOME|"|'


def test_orthanc_is_not_started_where_others_could_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "isolated", lambda: False)
    with pytest.raises(RuntimeError, match="scripts/isolated"), peers.orthanc(tmp_path / "orthanc"):
        pass
    assert not (tmp_path / "orthanc").exists()


def test_a_missing_tool_skips_and_where_it_must_exist_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOUNDSFIELD_REQUIRE_INTEROP", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        peers.require_tool("no-such-tool")
    monkeypatch.setenv("HOUNDSFIELD_REQUIRE_INTEROP", "1")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        peers.require_tool("no-such-tool")
