"""Nothing under the GPL is a dependency, in any extra. LGPL packages are used unmodified."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# GPL, and not by another name pylibjpeg's own plug-in for JPEG, whose metadata has called itself MIT before.
FORBIDDEN = {"pylibjpeg-libjpeg"}
# The LGPL, and the exceptions for compilers' run-time libraries that scientific wheels carry, ask nothing of a program.
ALLOWED_WORDS = re.compile(
    r"\bLGPL\w*|Lesser General Public|Library General Public|GPL\S* WITH \S*exception\S*", re.IGNORECASE
)
COPYLEFT = re.compile(r"GPL|General Public Licen[cs]e", re.IGNORECASE)


def is_gpl(licence: str) -> bool:
    """True when no alternative of the licence expression is free of the GPL."""
    alternatives = re.split(r"\s+OR\s+", licence)
    return all(COPYLEFT.search(ALLOWED_WORDS.sub("", one)) for one in alternatives)


def pins(text: str) -> dict[str, str]:
    """Package name to licence, as constraints.txt lists them; a pin without a licence has an empty one."""
    found = {}
    for line in text.splitlines():
        pin, _, licence = line.partition("#")
        if pin.strip():
            found[pin.partition("==")[0].strip()] = licence.strip()
    return found


def faults(text: str) -> list[str]:
    return [
        name for name, licence in pins(text).items() if name in FORBIDDEN or licence in {"", "unknown"} or is_gpl(licence)
    ]


def installed_licence(name: str) -> str | None:
    """What an installed package says itself; None when it is not installed or says it in another form."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    classifiers = [item for item in metadata.get_all("Classifier") or [] if item.startswith("License ::")]
    return metadata.get("License-Expression") or "; ".join(classifiers) or None


def test_no_pinned_package_is_under_the_gpl() -> None:
    assert faults((ROOT / "constraints.txt").read_text(encoding="utf-8")) == []


def test_the_installed_packages_say_the_same() -> None:
    names = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    said = {name: licence for name in names if (licence := installed_licence(name))}
    assert len(said) > 30
    assert [name for name, licence in said.items() if is_gpl(licence)] == []


@pytest.mark.parametrize(
    "line",
    [
        "tool==1.0  # GPL-3.0-or-later",
        "tool==1.0  # GNU General Public License v3 (GPLv3)",
        "tool==1.0  # AGPL-3.0-only",
        "tool==1.0  # MIT AND GPL-2.0-only",
        "tool==1.0  # unknown",
        "tool==1.0",
        "pylibjpeg-libjpeg==2.3.0  # MIT",
    ],
)
def test_the_gate_can_fail(line: str) -> None:
    assert faults(line) == [line.partition("==")[0]]


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "GNU Lesser General Public License v3 (LGPLv3)",
        "LGPL-3.0-only",
        "GPL-2.0-only OR MIT",
        "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1",
    ],
)
def test_what_is_allowed_passes(licence: str) -> None:
    assert faults(f"tool==1.0  # {licence}") == []
