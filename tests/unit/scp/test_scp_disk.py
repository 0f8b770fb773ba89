"""The watermark: what is free, what is on its way, and what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import StorageUnavailable
from scp.disk import Watermark


def test_the_images_own_size_counts(tmp_path: Path) -> None:
    watermark = Watermark(tmp_path, refuse_below_megabytes=100, free_bytes=lambda: 110_000_000)
    with watermark.room_for(10_000_000):
        pass
    with pytest.raises(StorageUnavailable, match=r"110 MB left; \[disk\] refuse_below_megabytes is 100"):
        watermark.room_for(10_000_001).__enter__()


def test_images_that_are_being_written_count_until_they_are(tmp_path: Path) -> None:
    watermark = Watermark(tmp_path, refuse_below_megabytes=100, free_bytes=lambda: 110_000_000)
    with watermark.room_for(6_000_000):
        with pytest.raises(StorageUnavailable):
            watermark.room_for(6_000_000).__enter__()
        with watermark.room_for(4_000_000):
            pass
    with pytest.raises(ZeroDivisionError), watermark.room_for(6_000_000):
        _ = 1 / 0
    with watermark.room_for(10_000_000):
        pass


def test_the_file_system_is_asked(tmp_path: Path) -> None:
    with Watermark(tmp_path, refuse_below_megabytes=0).room_for(1):
        pass
    with pytest.raises(StorageUnavailable):
        Watermark(tmp_path, refuse_below_megabytes=10**12).room_for(1).__enter__()
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        Watermark(tmp_path / "gone", refuse_below_megabytes=0).room_for(1).__enter__()
