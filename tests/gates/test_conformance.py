"""CONFORMANCE.md is a promise to administrators: its lists are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import conformance
import pytest

from delivery.status import StatusClass, classify
from domain import codes
from scp.admission import CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED, LOCAL_LIMIT_EXCEEDED
from scp.association import CANNOT_UNDERSTAND, SOP_CLASS_NOT_SUPPORTED
from scp.contexts import STORAGE_SOP_CLASSES, VERIFICATION_SOP_CLASS
from scp.listener import DATA_SET_MISMATCH, OUT_OF_RESOURCES, SUCCESS

TEXT = (Path(__file__).resolve().parents[2] / "CONFORMANCE.md").read_text(encoding="utf-8")


def section(number: str) -> str:
    """The text under a heading, without its subsections."""
    found = re.search(rf"^#+ {re.escape(number)} .*?$(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"CONFORMANCE.md has no section {number}"
    return found[1]


def rows(number: str) -> list[list[str]]:
    """The cells of a section's table lines, headings and rulers left out."""
    lines = [line.strip("|").split("|") for line in section(number).splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line] for line in lines]
    rulers = {index for index, line in enumerate(table) if set(line[0]) == {"-"}}
    return [line for index, line in enumerate(table) if index not in rulers and index + 1 not in rulers]


def test_the_tables_are_those_of_the_code() -> None:
    """`make conformance` writes them; a code that is added is missing here until then."""
    text = conformance.STATEMENT.read_text(encoding="utf-8")
    assert conformance.renewed(text) == text
    assert conformance.renewed(text.replace("| VHS |", "| VHX |")) == text


def test_sop_classes() -> None:
    assert f"Verification, {VERIFICATION_SOP_CLASS}\n" in section("4.2.1")
    assert f"knows: {len(STORAGE_SOP_CLASSES)}\n" in section("4.2.1")


def test_rejections() -> None:
    listed = {tuple(int(part) for part in row[0].split(",")) for row in rows("4.2.2")}
    assert listed == {CALLING_AE_NOT_RECOGNISED, CALLED_AE_NOT_RECOGNISED, LOCAL_LIMIT_EXCEEDED}


def test_answers_to_c_store() -> None:
    assert {int(row[0], 16) for row in rows("4.2.3")} == {
        SUCCESS,
        SOP_CLASS_NOT_SUPPORTED,
        OUT_OF_RESOURCES,
        DATA_SET_MISMATCH,
        CANNOT_UNDERSTAND,
    }


def covered(listed: str) -> set[int]:
    """`0x0001`, `0xA9xx` and `0x0117 to 0x0119` as the statuses they stand for."""
    statuses = {int(status, 16) for status in re.findall(r"0x([0-9A-F]{4})\b", listed)}
    for prefix, rest in re.findall(r"0x([0-9A-F]+)(x+)", listed):
        first = int(prefix, 16) << 4 * len(rest)
        statuses |= set(range(first, first + 16 ** len(rest)))
    for low, high in re.findall(r"0x([0-9A-F]{4}) to 0x([0-9A-F]{4})", listed):
        statuses |= set(range(int(low, 16), int(high, 16) + 1))
    return statuses


@pytest.mark.parametrize(
    ("taken_as", "kinds"),
    [("stored", {StatusClass.SUCCESS, StatusClass.WARNING}), ("refused for good", {StatusClass.PERMANENT})],
)
def test_what_a_status_is_taken_as(taken_as: str, kinds: set[StatusClass]) -> None:
    (listed,) = [row[0] for row in rows("4.3") if row[1] == taken_as]
    assert covered(listed) == {status for status in range(0x10000) if classify(status) in kinds}


def test_private_codes() -> None:
    assert f"`{codes.PRIVATE_SCHEME}`" in section("8.2")
    assert codes.PRIVATE_SCHEME_UID in section("8.2")
