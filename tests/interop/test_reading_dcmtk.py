"""Grays as DCMTK displays them: dcm2pnm, dcmj2pnm and dcml2pnm on every shared file that they decode, within 1/255.

DCMTK decodes no JPEG 2000; those files are compared with a second decoder's raw pixels. A file without a window is compared
with DCMTK's values on the range that this product chooses for them, which is computed here anew from DCMTK's own values.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from peers import require_tool
from PIL import Image
from pydicom.encaps import generate_frames

from domain.errors import ImageUnreadable
from inference.grayscale import CLIPPED_SHARE
from inference.reading import NotAnImage, read_radiograph

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = sorted(DATA.glob("*.dcm"))
TOOLS = ("dcm2pnm", "dcmj2pnm", "dcml2pnm")
JPEG_2000 = ("bad05", "bad17", "der_A06", "rad03")
TOLERANCE = 1 / 255 + 1e-6

# What DCMTK shows otherwise, and why this product does not.
NOT_COMPARED = {
    "bad22": "half of its pixels are missing: DCMTK shows them black, here it is refused",
    "der_A07": "For Processing: DCMTK shows the counts as they are, air white",
}

# A stray byte before the data set; a missing delimiter; a compression that the header claims and the pixels do not have.
READ_HERE_ALONE = ("bad01", "bad20", "bad27")

# Its window's centre is a word, which DCMTK takes for 0.
WITHOUT_SOUND_WINDOW = "der_A10"
# DCMTK's range includes the padding, which is no image.
PADDED = "bad21"
# A lossy codestream of 12 bits with values above the 10 that the header says, which DCMTK wraps to 0.
OVERSHOOTING = "rad07"
# Luminance and chrominance, which DCMTK makes colours of in truncated whole numbers.
CHROMINANCE = "bad09"

pytestmark = pytest.mark.skipif(not FILES, reason="the shared test images are not here")

Grays = np.ndarray[Any, np.dtype[Any]]


def _named(*beginnings: str) -> list[Path]:
    return [path for path in FILES if path.name.startswith(beginnings)]


COMPARED = [path for path in FILES if path not in _named(*JPEG_2000, *NOT_COMPARED)]


@pytest.mark.parametrize("path", COMPARED, ids=lambda path: path.name[:7])
def test_as_dcmtk_displays_it(path: Path) -> None:
    for tool in TOOLS:
        require_tool(tool)
    try:
        found = read_radiograph(path, assumed_species=None)
    except (ImageUnreadable, NotAnImage):
        assert displayed(path, "-W") is None
        return
    frame = found.ref.frame_number or 1
    theirs = None
    for window in () if path.name.startswith(WITHOUT_SOUND_WINDOW) else ("+Wl", "+Wi"):
        theirs = displayed(path, window, "1", frame=frame) if theirs is None else theirs
    if theirs is None and has_colours(path):
        theirs = displayed(path, "-W", frame=frame, bits=8)  # those of 16 are not scaled to the whole range
    elif theirs is None:
        whole = displayed(path, "+Wm", frame=frame)
        theirs = None if whole is None else own_range(whole, padded=path.name.startswith(PADDED))
    if theirs is None:
        assert path.name.startswith(READ_HERE_ALONE)
        return
    assert theirs.shape == found.pixels.shape
    compared = np.ones(theirs.shape, dtype=bool)
    if path.name.startswith(OVERSHOOTING):
        compared = within_its_bits(path)
        assert compared.mean() > 0.99
    tolerance = 2 * TOLERANCE if path.name.startswith(CHROMINANCE) else TOLERANCE
    assert np.abs(theirs - found.pixels)[compared].max() <= tolerance


def test_nothing_that_dcmtk_decodes_is_refused() -> None:
    require_tool("dcm2pnm")
    refused = set()
    for path in FILES:
        try:
            read_radiograph(path, assumed_species=None)
        except (ImageUnreadable, NotAnImage):
            if any(run(tool, "+Wm", path) for tool in TOOLS):
                refused.add(path.name[:5])
    assert refused == {"bad22"}


@pytest.mark.parametrize("path", [path for path in FILES if path.name.startswith(JPEG_2000)], ids=lambda path: path.name[:7])
def test_jpeg_2000_as_a_second_decoder_reads_it(path: Path) -> None:
    """The values of imagecodecs, through the standard's formulas written out once more; all four are lossless."""
    ds = pydicom.dcmread(path)
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    decode = imagecodecs.htj2k_decode if path.name.startswith("bad17") else imagecodecs.jpeg2k_decode
    values = np.asarray(decode(frame)).astype(np.float64)
    if ds.SamplesPerPixel == 3:
        expected = values @ (0.299, 0.587, 0.114) / 255
    else:
        bits = ds.BitsStored
        if ds.PixelRepresentation == 1 and values.min() >= 0:
            values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
        values = values * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
        center, width = (float(np.atleast_1d(ds[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
        expected = np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
        expected = 1 - expected if ds.PhotometricInterpretation == "MONOCHROME1" else expected
    found = read_radiograph(path, assumed_species=None)
    assert found.decoder == "pylibjpeg-openjpeg"  # not the one that it is compared with
    assert np.abs(found.pixels - expected).max() <= TOLERANCE


def displayed(path: Path, *options: str, frame: int = 1, bits: int = 16) -> Grays | None:
    """0..1; overlays are not drawn, colours are made gray. None where no tool decodes it so."""
    for tool in TOOLS:
        found = run(tool, *options, "-O", "+G", "+F", str(frame), f"--write-{bits}-bit-pnm", path)
        if found:
            return np.asarray(Image.open(io.BytesIO(found))).astype(np.float64) / ((1 << bits) - 1)
    return None


def run(tool: str, *arguments: str | Path) -> bytes:
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else b""


def has_colours(path: Path) -> bool:
    return b"P3" in run("dcm2pnm", "+opb", path)[:2]


def within_its_bits(path: Path) -> Grays:
    ds = pydicom.dcmread(path)
    values = np.asarray(imagecodecs.jpeg8_decode(next(generate_frames(ds.PixelData, number_of_frames=1))))
    return values < 1 << ds.BitsStored


def own_range(values: Grays, *, padded: bool) -> Grays:
    """A share of the pixels at either end is clipped; padding, the lowest value, counts for none of it."""
    image = values[values > values.min()] if padded else values
    ordered = np.sort(image.ravel())
    low = ordered[int(np.ceil(CLIPPED_SHARE * len(ordered))) - 1]
    high = ordered[int(np.ceil((1 - CLIPPED_SHARE) * len(ordered))) - 1]
    return np.clip((values - low) / (high - low), 0, 1)
