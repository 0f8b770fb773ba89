"""Every status of a C-STORE response asks exactly one thing of the sender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from delivery.status import StatusClass, classify, describe

KEPT = (StatusClass.SUCCESS, StatusClass.WARNING)
DUPLICATE = 0x0111  # a failure by the standard; here the answer to a retry whose first response was lost


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, StatusClass.SUCCESS),
        (0xB000, StatusClass.WARNING),
        (0xB007, StatusClass.WARNING),
        (0x0111, StatusClass.WARNING),
        (0xA700, StatusClass.TEMPORARY),
        (0xA7FF, StatusClass.TEMPORARY),
        (0x0110, StatusClass.TEMPORARY),
        (0x0213, StatusClass.TEMPORARY),
        (0xFE00, StatusClass.TEMPORARY),
        (0x1234, StatusClass.TEMPORARY),
        (0xA900, StatusClass.PERMANENT),
        (0xC000, StatusClass.PERMANENT),
        (0xCFFF, StatusClass.PERMANENT),
        (0x0117, StatusClass.PERMANENT),
        (0x0122, StatusClass.PERMANENT),
        (0x0124, StatusClass.PERMANENT),
    ],
)
def test_known_statuses(status: int, expected: StatusClass) -> None:
    assert classify(status) is expected


def test_all_statuses_count_as_kept_only_by_the_standards_word() -> None:
    """pynetdicom's tables are the second opinion: nothing but Success and Warning may look like a delivered object."""
    for status in range(0x10000):
        category = code_to_category(status)
        if classify(status) in KEPT:
            assert category in ("Success", "Warning") or status == DUPLICATE, f"0x{status:04X} is {category}"
        else:
            assert category not in ("Success", "Warning") or status == DUPLICATE, f"0x{status:04X} is {category}"


def test_storage_failures_that_name_the_object_are_permanent() -> None:
    for status, (category, meaning) in STORAGE_SERVICE_CLASS_STATUS.items():
        if category == "Failure" and meaning in ("Data Set Does Not Match SOP Class", "Cannot Understand"):
            assert classify(status) is StatusClass.PERMANENT, f"0x{status:04X}"
        if category == "Failure" and meaning == "Out of Resources":
            assert classify(status) is StatusClass.TEMPORARY, f"0x{status:04X}"


@given(st.integers(0, 0xFFFF))
def test_a_status_is_said_as_a_pacs_log_prints_it(status: int) -> None:
    assert describe(status).startswith(f"0x{status:04X}")
    assert isinstance(classify(status), StatusClass)


def test_a_status_has_its_meaning() -> None:
    assert describe(0xA7FF) == "0xA7FF (out of resources)"
    assert describe(0xC123) == "0xC123 (cannot understand)"
    assert describe(0x0122) == "0x0122 (SOP class not supported)"
    assert describe(0x1234) == "0x1234"
