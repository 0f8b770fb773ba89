"""For all tests: where the interop tools must exist, a skip is a failure (see `peers.require_tool`); no example is timed."""

from __future__ import annotations

import os
import re
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With HOUNDSFIELD_REQUIRE_INTEROP=1 a skip in tests/interop fails, unless only the shared test data is absent."""
    report = yield
    required = os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1" and "interop" in item.path.parts
    if required and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not re.search(r"\bshared\b", reason):
            report.outcome = "failed"
            report.longrepr = f"{reason} (HOUNDSFIELD_REQUIRE_INTEROP=1)"
    return report
