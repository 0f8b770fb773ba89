"""The top-level names are generic, so what is installed must be exactly the rooms, whole, and nobody else's."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Read by developers, not by the product.
NOT_INSTALLED = {"Makefile", "README.md"}
NO_ROOMS = {"tests", "benchmarks", "scripts", "docs", "deploy", "build", "dist", "var"}
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
PACKAGES = SETUP["options"]["packages"].split()


def tracked_files() -> list[Path]:
    """What the repository holds or is about to hold; relative to its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_file()]


def python_packages(files: Iterable[Path]) -> set[str]:
    """Dotted names of the folders with an `__init__.py`, outside the folders that are not installed; `models` holds data."""
    folders = {path.parent for path in files if path.name == "__init__.py"} | {Path("models")}
    return {".".join(folder.parts) for folder in folders if folder.parts and folder.parts[0] not in NO_ROOMS}


def left_out(files: Iterable[Path], packages: Iterable[str], patterns: dict[str, list[str]]) -> list[str]:
    """Files inside the packages that are neither Python nor named by package_data."""
    rooms = {package.partition(".")[0] for package in packages}
    missing = []
    for path in files:
        if path.parts[0] not in rooms or path.suffix == ".py" or path.name in NOT_INSTALLED:
            continue
        room, inside = path.parts[0], "/".join(path.parts[1:])
        # As setuptools' glob: `*` stays within one folder.
        depth = inside.count("/")
        if not any(item.count("/") == depth and fnmatch.fnmatchcase(inside, item) for item in patterns.get(room, [])):
            missing.append(str(path))
    return missing


def package_data() -> dict[str, list[str]]:
    section = "options.package_data"
    return {room: patterns.split() for room, patterns in SETUP[section].items()} if SETUP.has_section(section) else {}


def test_packages_are_the_rooms_that_exist() -> None:
    assert sorted(PACKAGES) == sorted(python_packages(tracked_files()))


def test_the_linted_rooms_are_the_packages_with_code() -> None:
    assert sorted(SETUP["importlinter"]["root_packages"].split()) == sorted(
        {name.partition(".")[0] for name in PACKAGES} - {"models"}
    )


def test_a_new_room_would_be_noticed() -> None:
    files = [Path("console/__init__.py"), Path("tests/x/__init__.py"), Path("scp/parts/__init__.py"), Path("setup.py")]
    assert python_packages(files) == {"console", "models", "scp.parts"}


def test_the_distribution_alone_owns_its_import_names() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, ())) for name in PACKAGES if "." not in name} == {
        name: {"houndsfield"} for name in PACKAGES if "." not in name
    }


def test_every_package_is_found_from_anywhere(tmp_path: Path) -> None:
    """Rooms read their own files by importlib.resources, whatever folder the command is called in."""
    code = f"import importlib.resources as r; print(all(r.files(name).is_dir() for name in {PACKAGES!r}))"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_every_file_of_a_room_is_installed() -> None:
    assert left_out(tracked_files(), PACKAGES, package_data()) == []


def test_a_file_left_out_would_be_noticed() -> None:
    files = [Path("models/lung/model.onnx"), Path("models/lung/deep/model.onnx"), Path("scp/x.py"), Path("docs/x.md")]
    assert left_out(files, ["models", "scp"], {"models": ["*/*.onnx"]}) == ["models/lung/deep/model.onnx"]
    assert left_out(files[:1], ["models"], {}) == ["models/lung/model.onnx"]


def foreign_imports(source: str) -> set[str]:
    """Top-level names of what a module of `domain` imports beyond the standard library, numpy and itself."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"numpy", "domain"}


@pytest.mark.parametrize("path", sorted((ROOT / "domain").rglob("*.py")), ids=lambda path: path.name)
def test_domain_needs_only_the_standard_library_and_numpy(path: Path) -> None:
    assert foreign_imports(path.read_text(encoding="utf-8")) == set()


def test_a_foreign_import_in_domain_would_be_noticed() -> None:
    assert foreign_imports(
        "import os\nimport numpy.typing\nfrom pydantic import BaseModel\nfrom domain.types import Code\n"
    ) == {"pydantic"}


def test_files_stay_short_enough_to_read() -> None:
    """About 400 lines: a file that outgrows them is two files."""
    lengths = {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in tracked_files() if path.suffix == ".py"
    }
    assert {str(path): length for path, length in lengths.items() if length > 420} == {}
