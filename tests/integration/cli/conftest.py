"""`houndsfield …` in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import Houndsfield, in_process


@pytest.fixture
def houndsfield(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Houndsfield:
    monkeypatch.chdir(tmp_path)
    return in_process(monkeypatch, capsys)
