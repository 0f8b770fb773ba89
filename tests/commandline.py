"""The command line in this process: what was printed, and the exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import run


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Houndsfield = Callable[..., Done]


def one_sentence(done: Done) -> bool:
    return done.status == 1 and done.err.count("\n") == 1 and "Traceback" not in done.err


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Houndsfield:
    def command(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["houndsfield", *map(str, arguments)])
        status = 0
        try:
            run()
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return Done(status, printed.out, printed.err)

    return command
