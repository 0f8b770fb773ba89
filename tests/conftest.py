"""For all tests: `@pytest.mark.needs("storescu")` names the tools a test runs; where they must exist, a skip fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import pytest

# Debian keeps Orthanc where only root's PATH looks.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
_REQUIRED = os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*tools): programs without which the test is skipped, saying so")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        missing = [tool for tool in mark.args if shutil.which(tool, path=_PATH) is None]
        if missing:
            (pytest.fail if _REQUIRED else pytest.skip)(f"needs {', '.join(missing)}: not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With HOUNDSFIELD_REQUIRE_INTEROP=1 a skip in tests/interop fails, unless only the shared test data is absent."""
    report = yield
    if _REQUIRED and report.skipped and not hasattr(report, "wasxfail") and "interop" in item.path.parts:
        reason = str(report.longrepr)
        if "data" not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped, although HOUNDSFIELD_REQUIRE_INTEROP=1: {reason}"
    return report
