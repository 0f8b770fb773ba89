"""`analyse` on what lies on real disks: names that are no UTF-8, links in circles, devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from factories import dx_file

HOUNDSFIELD = str(Path(sys.executable).with_name("houndsfield"))


def analyse(*arguments: str | Path | bytes) -> subprocess.CompletedProcess[bytes]:
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as in every locale of a clinic's PC
    return subprocess.run([HOUNDSFIELD, "analyse", *arguments], capture_output=True, check=False, env=strict, timeout=60)


def test_every_file_of_an_odd_folder_gets_an_answer(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    content = dx_file(folder / "한글 이름.dcm").read_bytes()
    (folder / "with\nnewline.dcm").write_bytes(content)
    (folder / os.fsdecode(b"\xff\xfe.dcm")).write_bytes(content)
    (folder / os.fsdecode(b"\xff.txt")).write_bytes(b"no image")
    (folder / "circle").symlink_to(".")
    (folder / "dangling.dcm").symlink_to("nowhere")
    done = analyse(folder, "/dev/null", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.decode("utf-8"))
    images = {Path(image["path"]).name for study in found["studies"] for image in study["images"]}
    assert images == {"한글 이름.dcm", "with\nnewline.dcm", "\\udcff\\udcfe.dcm"}
    assert {Path(one["path"]).name for one in found["rejected"]} == {"\\udcff.txt", "null"}
    assert all("not a DICOM file" in one["reason"] for one in found["rejected"])
    words = analyse(folder)
    assert words.returncode == 0, words.stderr
    assert b"3 images, 0 measured; 1 file not read." in words.stdout
