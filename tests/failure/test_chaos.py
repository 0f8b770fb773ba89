"""Workers and listeners die at random while consoles send: exactly one final object per revision and destination."""

from __future__ import annotations

from pathlib import Path

import pytest
from storm import BACKENDS, Backend, chaos


@pytest.mark.parametrize("name", BACKENDS)
def test_random_deaths_lose_nothing_and_double_nothing(tmp_path: Path, name: Backend) -> None:
    tally = chaos(tmp_path, name, seed=7, seconds=12.0, kill_every_seconds=2.0)
    assert tally.deaths >= 4
    assert tally.acknowledged > 0
    assert tally.faults == []
