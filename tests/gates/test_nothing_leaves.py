"""Nothing leaves the clinic but to configured destinations; also nothing that a library would send by itself.

ONNX Runtime from 1.29 on reports to its maker unless ORT_DISABLE_TELEMETRY=1 is set before its first import (its
Privacy.md). The rooms that import it therefore set that in their `__init__.py`. Seen here by the device identifier and the
queue that it would leave in the home folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("room", ["inference", "metalearner"])
def test_onnxruntime_reports_nothing(room: str, tmp_path: Path) -> None:
    code = f"import os, {room}; assert os.environ.get('ORT_DISABLE_TELEMETRY') == '1', 'not set'; import onnxruntime"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{room}/__init__.py must set os.environ['ORT_DISABLE_TELEMETRY'] = '1': {done.stderr}"
    assert list(tmp_path.rglob("*")) == []
