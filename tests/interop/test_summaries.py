"""A study's summary in front of dicom3tools: valid and fitting its study, whatever became of the images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from answers import ANALYSED_AT, OUTCOMES, evidence
from factories import dx_file
from peers import require_tool

from domain.identity import Identity
from domain.types import Language, Style
from sr_writer import read_header, write_summary


@pytest.mark.parametrize("charset", [None, "ISO 2022 IR 149", "ISO_IR 192"], ids=["no-charset", "ir149", "utf8"])
@pytest.mark.parametrize("jpeg", [True, False], ids=["jpeg", "uncompressed"])
def test_a_summary_is_valid_and_fits_its_study(tmp_path: Path, charset: str | None, jpeg: bool) -> None:
    paths = [
        dx_file(tmp_path / f"{n}.dcm", instance=n + 1, rows=300, columns=360, charset=charset) for n in range(len(OUTCOMES))
    ]
    items = [evidence(path, outcome) for path, outcome in zip(paths, OUTCOMES, strict=True)]
    document = write_summary(
        items,
        pixels=[np.full((300, 360), 0.5, dtype=np.float32)] * len(items),
        study_instance_uid=read_header(paths[0]).text("StudyInstanceUID"),
        identity=Identity(),
        style=Style(language=Language.KOREAN, overlay_jpeg=jpeg),
        directory=tmp_path / "out",
        revision=1,
        made_at=ANALYSED_AT,
    )
    assert errors("dciodvfy", document.path) == []
    assert errors("dcentvfy", *paths, document.path) == []


def errors(tool: str, *files: Path) -> list[str]:
    done = subprocess.run([require_tool(tool), *map(str, files)], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
