"""Which models this node uses, and how: the installed packages and what the settings say of them."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from config.settings import Model, Settings
from domain.errors import ModelInvalid
from inference.package import ModelPackage, Remote, find_packages


def installed(settings: Settings) -> list[tuple[ModelPackage, Model]]:
    """Every package with its settings. ModelInvalid for a broken package, or a [[model]] that no package answers to."""
    packages = find_packages(
        settings.models.dir,
        trusted_keys=settings.models.trusted_keys,
        signature_required=settings.models.require_signature,
    )
    for said in settings.model:
        if not any(_means(said, package) for package in packages):
            raise ModelInvalid(f"[[model]] {said.name} {said.version}".strip() + ": no such package is installed")
    return [(package, _said_of(package, settings.model)) for package in packages]


def used_packages(settings: Settings) -> tuple[ModelPackage, ...]:
    """Those that run. ModelInvalid, besides, where two versions of one model would both be filed."""
    used = [_as_said(package, said) for package, said in installed(settings) if said.enabled]
    filed = [package.name for package in used if not package.shadow]
    for name in filed:
        if filed.count(name) > 1:
            raise ModelInvalid(
                f"two versions of model {name} are installed: say in [[model]] which has enabled = false or shadow = true"
            )
    return tuple(used)


def threads_for_one_run(workers: int) -> int:
    """So that all workers together use the cores of this machine, and not more."""
    return max(1, cores() // workers)


def cores() -> int:
    """That this process may use: by its affinity, and by its container's quota, which os.cpu_count() does not know."""
    allowed = len(os.sched_getaffinity(0))
    try:  # cgroup v2: "200000 100000" is two cores, "max 100000" all of them
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def _means(said: Model, package: ModelPackage) -> bool:
    return said.name == package.name and said.version in ("", package.manifest.version)


def _said_of(package: ModelPackage, model: tuple[Model, ...]) -> Model:
    """What is said of this version, else of the model, else the defaults."""
    fitting = sorted((said for said in model if _means(said, package)), key=lambda said: said.version == "")
    return fitting[0] if fitting else Model(name=package.name)


def _as_said(package: ModelPackage, said: Model) -> ModelPackage:
    remote = None
    if said.runtime == "remote":
        remote = Remote(
            url=said.url,
            model=said.remote_name or package.name,
            token=said.token,
            when_away=said.when_away,
            timeout_seconds=said.timeout_seconds,
        )
    return replace(package, shadow=said.shadow, remote=remote)
