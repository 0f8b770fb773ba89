"""A written overlay back as a picture, for who has no viewer at hand."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame


def overlay_picture(path: Path) -> Image.Image:
    """RGB, exactly what the Secondary Capture at `path` holds."""
    ds = dcmread(path)
    if not ds.file_meta.TransferSyntaxUID.is_compressed:
        return Image.frombytes("RGB", (ds.Columns, ds.Rows), ds.PixelData[: 3 * ds.Columns * ds.Rows])
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    return Image.open(io.BytesIO(frame)).convert("RGB")
