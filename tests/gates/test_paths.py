"""Nothing in the repository points into one person's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A home folder, root's, a Mac's or Windows' users, or a scratch folder: put together so that this file does not name one.
PERSONAL = re.compile(r"(?<![\w.])/" + r"(?:home/\w|root/|Users/\w|work/|tmp/\w)" + r"|[A-Z]:\\" + r"Users\\", re.ASCII)


def faults(text: str) -> list[str]:
    return [
        f"line {number}: {line.strip()[:80]}" for number, line in enumerate(text.splitlines(), 1) if PERSONAL.search(line)
    ]


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    found = {}
    for name in names:
        path = ROOT / name
        if not name or not path.is_file() or path == Path(__file__):
            continue
        try:
            lines = faults(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # pictures, weights
        if lines:
            found[name] = lines
    assert found == {}


@pytest.mark.parametrize(
    "text", ["open('/home/kim/x')", "cd /root/src", "see /Users/kim", r"C:\Users\kim", "cp a /work/main", "/tmp/x1"]
)
def test_the_gate_can_fail(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text", ["https://example.org/home/page", "tests/work/x", "the home folder", "/opt/houndsfield", "/data"]
)
def test_what_is_allowed_passes(text: str) -> None:
    assert faults(text) == []
