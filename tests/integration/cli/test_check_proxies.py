"""`config check` says what trusting a proxy means."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from cli.main import run


@pytest.mark.parametrize("proxies", ["", '"192.0.2.5"'])
def test_admission_by_title_alone_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, proxies: str
) -> None:
    settings = tmp_path / "houndsfield.toml"
    settings.write_text(f'[node]\ndata_dir = "data"\ntrusted_proxies = [{proxies}]\n')
    monkeypatch.setattr(sys, "argv", ["houndsfield", "config", "check", "--json", "--config", str(settings)])
    with contextlib.suppress(SystemExit):
        run()
    hints = json.loads(capsys.readouterr().out)["hints"]
    assert any("AE title alone" in hint for hint in hints) is bool(proxies)
