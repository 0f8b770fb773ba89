"""Each gate of scripts/check goes red on what it is there for. A gate that nobody saw fail guards nothing."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
ROOMS = SETUP["importlinter"]["root_packages"].split()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The rooms, empty, under the repository's own rules."""
    for name in ("setup.cfg", "pyproject.toml", "ruff.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check", tmp_path / "scripts")
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    return tmp_path


def check(tree: Path, gate: str) -> subprocess.CompletedProcess[str]:
    tools = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    command = [str(tree / "scripts" / "check"), gate]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("gate", ["format", "lint", "types", "imports"])
def test_a_clean_tree_is_green(tree: Path, gate: str) -> None:
    done = check(tree, gate)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("gate", "code", "named"),
    [
        ("format", "x = {  'a':1 }\n", "domain/fault.py"),
        ("lint", "import os\n", "F401"),
        ("lint", 'print("to nobody")\n', "T201"),
        ("lint", "try:\n    pass\nexcept:\n    pass\n", "E722"),
        ("types", "def untyped(value):\n    return value\n", "no-untyped-def"),
        ("types", 'number: int = "text"\n', "assignment"),
        ("types", "def pick(items: list) -> int:\n    return len(items)\n", "type-arg"),
    ],
)
def test_a_fault_in_the_code_turns_the_gate_red(tree: Path, gate: str, code: str, named: str) -> None:
    (tree / "domain" / "fault.py").write_text(code)
    done = check(tree, gate)
    assert done.returncode == 1
    assert named in done.stdout
    assert f"red: {gate}" in done.stderr


# Every pair that a contract forbids, said independently of setup.cfg. For a library: all rooms but those named.
LAYERS = [
    ["cli"],
    ["node", "metalearner"],
    ["scp", "inference", "sr_writer", "delivery", "phantoms"],
    ["ledger", "spool"],
    ["config"],
    ["domain"],
]
LIBRARIES = {
    "pynetdicom": {"scp", "delivery"},
    "onnxruntime": {"inference", "metalearner"},
    "highdicom": {"sr_writer"},
    "sqlalchemy": {"ledger"},
    "orthanc_api_client": {"delivery"},
    "torch": {"metalearner"},
}
UPWARD = [
    (room, other)
    for depth, layer in enumerate(LAYERS)
    for room in layer
    for above in LAYERS[: depth + 1]
    for other in above
    if other != room
]
FORBIDDEN = [
    *UPWARD,
    *[(importer, imported) for importer in ("inference", "sr_writer") for imported in ("config", "ledger", "spool")],
    *[(room, library) for library, allowed in LIBRARIES.items() for room in ROOMS if room not in allowed],
]


def test_the_contracts_cover_every_room() -> None:
    assert sorted(ROOMS) == sorted(room for layer in LAYERS for room in layer)


def test_what_is_allowed_stays_green(tree: Path) -> None:
    for library, allowed in LIBRARIES.items():
        for room in allowed:
            with (tree / room / "__init__.py").open("a") as file:
                file.write(f"import {library}\n")
    (tree / "cli" / "__init__.py").write_text("import node, metalearner, scp, inference, ledger, config, domain\n")
    done = check(tree, "imports")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("imported", sorted({imported for _, imported in FORBIDDEN}))
def test_a_forbidden_import_turns_the_gate_red(tree: Path, imported: str) -> None:
    """One run per imported name, with every room that must not import it doing so; each of them has to be named."""
    importers = {importer for importer, other in FORBIDDEN if other == imported}
    for importer in importers:
        (tree / importer / "fault.py").write_text(f"import {imported}\n")
    done = check(tree, "imports")
    assert done.returncode == 1
    missed = [importer for importer in importers if f"{importer}.fault -> {imported}" not in done.stdout]
    assert not missed, f"not reported importing {imported}: {missed}\n{done.stdout}"
