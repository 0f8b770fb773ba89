"""Overlays drawn and written for tests, at scale 1."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from answers import ANALYSED_AT, STUDY_UID, evidence
from factories import dx_file
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from domain.identity import Identity
from domain.types import (
    Evidence,
    Language,
    Style,
)
from sr_writer import draw_overlay, write_overlay
from sr_writer.drawing import BANNER_HEIGHT

EN, KO = Language.ENGLISH, Language.KOREAN
ROWS, COLUMNS = 1200, 1600  # drawn at scale 1


def gray(rows: int = ROWS, columns: int = COLUMNS, level: float = 0.5) -> npt.NDArray[np.float32]:
    return np.full((rows, columns), level, dtype=np.float32)


def source(folder: Path, outcome: str, **elements: object) -> Evidence:
    return evidence(dx_file(folder / "a.dcm", rows=ROWS, columns=COLUMNS, **elements), outcome)


def drawn(
    item: Evidence, *, language: Language = EN, pixels: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    return np.asarray(draw_overlay(item, pixels=gray() if pixels is None else pixels, language=language))


def written(item: Evidence, folder: Path, **arguments: object) -> Dataset:
    values: dict[str, object] = {"pixels": gray(), "style": Style(language=EN), "number": 1, "study_instance_uid": STUDY_UID}
    values |= {"identity": Identity(), "directory": folder / "out", "made_at": ANALYSED_AT} | arguments
    return dcmread(write_overlay(item, **values).path)  # type: ignore[arg-type]


def picture(ds: Dataset) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(get_frame(ds.PixelData, 0, number_of_frames=1))).convert("RGB"))


def near(image: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(image.astype(int) - colour).max(axis=2) < 8)


def radiograph(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return image[BANNER_HEIGHT : BANNER_HEIGHT + ROWS, :COLUMNS]
