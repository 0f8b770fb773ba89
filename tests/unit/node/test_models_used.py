"""Which packages run: versions beside each other, shadows, what is switched off, and what the settings name in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_factory import heart_package

from config.settings import Settings, parse
from domain.errors import ModelInvalid
from inference import package as package_module
from node.models import cores, installed, threads_for_one_run, used_packages


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(package_module, "_shipped", list)
    heart_package(tmp_path / "models" / "a", name="heart", version="1.0.0")
    heart_package(tmp_path / "models" / "b", name="heart", version="2.0.0")
    return tmp_path / "models"


def settings(folder: Path, *model: dict[str, Any]) -> Settings:
    return parse({"models": {"dir": str(folder)}, "model": list(model)})


def test_two_versions_that_would_both_be_filed_are_refused(folder: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"two versions of model heart are installed: say in \[\[model\]\]"):
        used_packages(settings(folder))


def test_the_newer_one_as_a_shadow(folder: Path) -> None:
    used = used_packages(settings(folder, {"name": "heart", "version": "2.0.0", "shadow": True}))
    assert [(one.manifest.version, one.shadow) for one in used] == [("1.0.0", False), ("2.0.0", True)]


def test_the_older_one_switched_off_and_a_word_on_all_versions(folder: Path) -> None:
    used = used_packages(
        settings(
            folder,
            {"name": "heart", "runtime": "remote", "url": "http://gpu:8000", "when_away": "wait"},
            {"name": "heart", "version": "1.0.0", "enabled": False},
        )
    )
    (one,) = used
    assert one.manifest.version == "2.0.0"
    assert one.remote is not None
    assert (one.remote.url, one.remote.model, one.remote.when_away) == ("http://gpu:8000", "heart", "wait")
    assert len(installed(settings(folder))) == 2


def test_a_model_that_is_not_installed_is_named(folder: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"\[\[model\]\] hart 3\.0\.0: no such package is installed"):
        used_packages(settings(folder, {"name": "hart", "version": "3.0.0"}))


def test_workers_share_the_cores() -> None:
    assert threads_for_one_run(1) == cores()
    assert threads_for_one_run(10_000) == 1
    assert 2 * threads_for_one_run(2) <= max(2, cores())
