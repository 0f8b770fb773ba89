"""Validators that are not ours, and what they say."""

from __future__ import annotations

import subprocess
from pathlib import Path

from peers import require_tool


def run(tool: str, *arguments: str | Path) -> str:
    """What it printed; the validators' exit status says nothing."""
    command = [require_tool(tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def errors(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("Error")]


def differing(*paths: Path) -> list[str]:
    """What differs between objects of one study, by dcentvfy, which prints nothing where nothing does: its status tells
    that it ran."""
    command = [require_tool("dcentvfy"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    said = errors((done.stdout + done.stderr).decode("utf-8", "replace"))
    assert done.returncode == int(bool(said)), done
    return said
