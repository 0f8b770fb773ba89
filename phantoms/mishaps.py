"""What happens to a film besides the animal: collimation, tables and positioners, markers, burnt-in text, poor exposure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from phantoms.film import letters
from phantoms.solids import FloatArray

Plane = npt.NDArray[np.float32]
WORDS = (
    "R",
    "L",
    "R",
    "L",
    "VD",
    "DV",
    "RL",
    "LL",
    "CRCD",
    "STANDING",
    "AP",
    "12:31",
    "R LAT",
    "L LAT",
    "6.2 kg",
    "kV 60 mAs 5",
    "CM",
)


def furniture(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """Thickness of table, trough, foam and sandbags behind the animal, in units: mostly nothing, or edges and wedges."""
    layer = np.zeros((rows, columns), np.float32)
    if rng.random() > 0.45:
        return layer
    row = np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None]
    column = np.linspace(-0.5, 0.5, columns, dtype=np.float32)[None, :]
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        across = np.float32(np.cos(angle)) * column + np.float32(np.sin(angle)) * row - np.float32(rng.uniform(-0.5, 0.5))
        way = rng.integers(0, 4)
        if way == 0:  # the edge of a pad or of the table
            layer += np.float32(rng.uniform(0.05, 0.5)) * np.clip(across * rng.uniform(20, 200) + 0.5, 0, 1).astype(
                np.float32
            )
        elif way == 1:  # a wedge
            layer += np.float32(rng.uniform(0.3, 1.5)) * np.clip(across * 2, 0, 1).astype(np.float32)
        elif way == 2:  # a seam, the wall of a trough
            layer += np.float32(rng.uniform(0.1, 0.8)) * np.exp(-((across * np.float32(rng.uniform(60, 300))) ** 2)).astype(
                np.float32
            )
        else:  # a sandbag, a glove
            centre, size = rng.uniform(-0.55, 0.55, 2), rng.uniform(0.05, 0.25, 2)
            inside = 1 - ((column - centre[0]) / size[0]) ** 2 - ((row - centre[1]) / size[1]) ** 2
            edge = np.abs(centre).max() > 0.38
            layer += np.float32(rng.uniform(0.5, 4.0) if edge else 0.2) * np.sqrt(np.maximum(inside, 0)).astype(np.float32)
    return layer


def exposure_fault(pixels: Plane, rng: np.random.Generator, fault: str) -> Plane:
    """`under`: pale and grainy, too few quanta. `over`: lung and thin parts burnt black. pixels: 0..1."""
    if fault == "under":
        grain = rng.standard_normal(pixels.shape, dtype=np.float32)
        if rng.random() < 0.5:
            grain = gaussian_filter(grain, rng.uniform(0.4, 0.9)) * np.float32(1.8)
        pale = 1 - (1 - pixels) * np.float32(rng.uniform(0.4, 0.7))
        return np.asarray(np.clip(pale + grain * np.float32(rng.uniform(0.03, 0.08)), 0, 1), dtype=np.float32)
    seen = pixels[pixels > 0.03]
    dark = float(np.quantile(seen, rng.uniform(0.35, 0.6))) if seen.size > 50 else 0.5
    burnt = (pixels - np.float32(dark)) / np.float32(max(1 - dark, 0.05)) * np.float32(rng.uniform(0.6, 1.0))
    return np.asarray(np.clip(burnt, 0, 1), dtype=np.float32)


def collimate(pixels: Plane, rng: np.random.Generator, margins: FloatArray | None = None) -> Plane:
    """A rectangle of light: outside it black, gray or, as many plates show, white; its edge soft, slightly turned.

    margins: (4,) shares of the picture at the left, top, right and bottom that may be covered; None for any.
    """
    rows, columns = pixels.shape
    result = pixels
    if rng.random() < 0.55:
        shares = rng.uniform(0.0, 0.14, 4) * (rng.random(4) < 0.7)
        if rng.random() < 0.25:  # a narrow field on a wide plate
            sides = [0, 2] if rng.random() < 0.5 else [1, 3]
            shares[sides] = rng.uniform(0.08, 0.3, 2)
        if margins is not None:
            shares = np.minimum(shares, np.maximum(margins, 0))
        left, top, right, bottom = shares
        tilt = np.tan(rng.normal(0, 0.02))
        column = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
        row = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        u, v = column + np.float32(tilt) * (row - 0.5), row - np.float32(tilt) * (column - 0.5)
        inside = np.minimum(
            np.minimum(u - left, 1 - right - u) + (0 if left + right else 9),
            np.minimum(v - top, 1 - bottom - v) + (0 if top + bottom else 9),
        )
        open_share = np.clip(inside * np.float32(min(rows, columns) / rng.uniform(0.7, 6)) + 0.5, 0, 1)
        gray = np.float32(rng.choice([0.0, 0.0, 0.02, rng.uniform(0, 0.3), rng.uniform(0.8, 1.0)]))
        result = result * open_share + gray * (1 - open_share)
        if rng.random() < 0.3:  # light leaks under the blades
            result = np.maximum(result, pixels * np.float32(rng.uniform(0.1, 0.6)) * (1 - open_share))
    if rng.random() < 0.12:  # a line about the picture, as viewers and printers draw it
        w = max(1, rows // 200)
        result = result.copy()
        result[:w] = result[-w:] = result[:, :w] = result[:, -w:] = np.float32(rng.uniform(0.4, 1))
    return result


def annotate(pixels: Plane, rng: np.random.Generator) -> Plane:
    """Lead letters, which may lie turned or mirrored, patches that hide names, lines of burnt-in text."""
    rows, columns = pixels.shape
    result = pixels.copy()
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        stamp = letters(str(rng.choice(WORDS)), max(6, int(rng.uniform(0.03, 0.075) * rows)))
        if rng.random() < 0.4:
            stamp = np.rot90(stamp, int(rng.integers(1, 4)))
        if rng.random() < 0.2:
            stamp = stamp[:, ::-1]
        if rng.random() < 0.15:
            stamp = np.maximum(stamp, np.float32(0.3))  # in a holder
        _lay(result, stamp, rng, float(rng.uniform(0.6, 1.0)))
    if rng.random() < 0.15:
        height, width = int(rng.uniform(0.02, 0.12) * rows) + 1, int(rng.uniform(0.03, 0.3) * columns) + 1
        row, column = int(rng.uniform(0, rows - height)), int(rng.uniform(0, columns - width))
        if min(row, rows - row - height) < 0.2 * rows:
            result[row : row + height, column : column + width] = np.float32(rng.choice([0.0, 1.0, rng.uniform(0, 1)]))
    if rng.random() < 0.15:
        for line in range(int(rng.integers(1, 4))):
            text = letters(
                "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789 .:-"), int(rng.integers(5, 26)))),
                max(6, int(0.028 * rows)),
            )
            row = int((0.02 + 0.04 * line) * rows) if rng.random() < 0.7 else int((0.9 + 0.03 * line) * rows)
            part = result[row : row + text.shape[0], int(0.02 * columns) :]
            np.maximum(part[:, : text.shape[1]], text[: part.shape[0], : part.shape[1]], out=part[:, : text.shape[1]])
    return result


def _lay(result: Plane, stamp: Plane, rng: np.random.Generator, strength: float) -> None:
    rows, columns = result.shape
    if stamp.shape[0] >= rows or stamp.shape[1] >= columns:
        return
    row, column = int(rng.uniform(0, rows - stamp.shape[0])), int(rng.uniform(0, columns - stamp.shape[1]))
    if rng.random() < 0.8:  # mostly at an edge
        if rng.random() < 0.5:
            row = int((rng.uniform(0, 0.12) if rng.random() < 0.5 else rng.uniform(0.8, 0.95)) * (rows - stamp.shape[0]))
        else:
            column = int(
                (rng.uniform(0, 0.12) if rng.random() < 0.5 else rng.uniform(0.8, 0.95)) * (columns - stamp.shape[1])
            )
    part = result[row : row + stamp.shape[0], column : column + stamp.shape[1]]
    part += (1 - part) * stamp * np.float32(strength)


def regrade(pixels: Plane, rng: np.random.Generator) -> Plane:
    """Shading across the plate, local equalisation as consoles do it, coarser pixels, grid lines, a wrong polarity."""
    rows, columns = pixels.shape
    result = pixels
    if rng.random() < 0.4:
        slope = rng.normal(0, 0.12, 2)
        result = result * (1 + np.linspace(-slope[0], slope[0], rows, dtype=np.float32)[:, None])
        result = result * (1 + np.linspace(-slope[1], slope[1], columns, dtype=np.float32)[None, :])
    if rng.random() < 0.35:
        small = np.asarray(Image.fromarray(result).resize((max(columns // 4, 8), max(rows // 4, 8)), Image.Resampling.BOX))
        sigma = rng.uniform(0.03, 0.15) * rows / 4
        mean = gaussian_filter(small, sigma, truncate=2.5)
        variance = np.maximum(gaussian_filter(small * small, sigma, truncate=2.5) - mean * mean, 0)
        wide = [
            np.asarray(Image.fromarray(one).resize((columns, rows), Image.Resampling.BILINEAR))
            for one in (mean, np.sqrt(variance))
        ]
        equal = np.float32(0.45) + (result - wide[0]) / (wide[1] + np.float32(0.08)) * np.float32(0.22)
        share = np.float32(rng.uniform(0.2, 0.9)) * (result > 0.01)
        result = result * (1 - share) + equal * share
    if rng.random() < 0.1:
        period = rng.uniform(2.2, 6)
        result = (
            result
            + np.float32(rng.uniform(0.003, 0.012))
            * np.sin(2 * np.pi / period * np.arange(columns, dtype=np.float32))[None, :]
        )
    if rng.random() < 0.12:
        factor = rng.uniform(1.5, 3)
        coarse = Image.fromarray(np.asarray(result, np.float32)).resize(
            (int(columns / factor), int(rows / factor)), Image.Resampling.BOX
        )
        result = np.asarray(coarse.resize((columns, rows), Image.Resampling.BILINEAR))
    result = np.clip(result, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.25)))
    return np.asarray(result, dtype=np.float32)
