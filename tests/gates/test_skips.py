"""A machine that must have the interop tools cannot pass by skipping."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPING = """
import pytest
from peers import require_tool

def test_tool():
    require_tool("no-such-program")

def test_otherwise():
    pytest.skip("this machine has no Orthanc")

@pytest.mark.skip(reason="slow")
def test_marked():
    pass

def test_data():
    pytest.skip("the shared test data is absent")
"""


@pytest.mark.parametrize(
    ("required", "folder", "counts"),
    [("0", "interop", "4 skipped"), ("1", "interop", "2 failed, 1 skipped, 1 error"), ("1", "unit", "1 failed, 3 skipped")],
)
def test_skips_fail_where_the_tools_are_required(tmp_path: Path, required: str, folder: str, counts: str) -> None:
    tests = tmp_path / "tests"
    (tests / folder).mkdir(parents=True)
    (tests / folder / "test_skipping.py").write_text(SKIPPING)
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for name in ("conftest.py", "peers.py"):
        shutil.copy(ROOT / "tests" / name, tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests"],
        cwd=tmp_path,
        env=os.environ | {"HOUNDSFIELD_REQUIRE_INTEROP": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert counts in done.stdout.splitlines()[-1]
