"""From thickness to the picture on a workstation: exposure, scatter, blur, noise, and the console's display processing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from phantoms.projection import Thickness

Plane = npt.NDArray[np.float32]
CONSOLE_SHARE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One way to take and to show a film. Lengths are in pixels of a plane 256 rows high.

    attenuation is per centimetre; peak: the attenuation that the kilovoltage is chosen for; photons: per pixel.
    """

    soft_attenuation: float
    bone_attenuation: float
    peak: float
    scatter_share: float
    scatter_width: float
    blur: float
    photons: float
    window_percentiles: tuple[float, float]
    background_gain: float  # of the slow part of the picture, 1 unprocessed
    detail_gain: float
    detail_width: float
    sharpening: float
    gamma: float
    contrast: float  # steepness of the sigmoid curve, 0 for none
    contrast_middle: float


def draw_exposure(rng: np.random.Generator, variety: float = 1.0) -> Exposure:
    """variety: 1 is everything that consoles and mishaps produce, 0 one textbook film."""

    def spread(low: float, high: float, nominal: float) -> float:
        return nominal + variety * (rng.uniform(low, high) - nominal)

    processed = rng.random() < 0.7
    return Exposure(
        soft_attenuation=spread(0.19, 0.24, 0.21),
        bone_attenuation=spread(0.45, 0.75, 0.6),
        peak=spread(3.2, 5.5, 4.0),
        scatter_share=spread(0.05, 0.9, 0.3),
        scatter_width=spread(9, 26, 16),
        blur=max(spread(-0.3, 1.1, 0.4), 0.0),
        photons=10 ** spread(3.2, 5.2, 4.4),
        window_percentiles=(spread(0, 6, 2), spread(96, 99.9, 99)),
        background_gain=spread(0.25, 1.0, 0.6) if processed else 1.0,
        detail_gain=spread(0.8, 2.2, 1.3) if processed else 1.0,
        detail_width=spread(8, 40, 24),
        sharpening=spread(0, 1.2, 0.3) if processed and rng.random() < 0.5 else 0.0,
        gamma=float(np.exp(variety * rng.normal(0, 0.35))),
        contrast=spread(2, 8, 3) if rng.random() < 0.5 else 0.0,
        contrast_middle=spread(0.35, 0.65, 0.5),
    )


def on_console(exposure: Exposure, rng: np.random.Generator) -> Exposure:
    """As most of today's consoles show a film: the slow part held back, what is of a nodule's size lifted."""
    if rng.random() > CONSOLE_SHARE:
        return exposure
    return replace(
        exposure,
        background_gain=min(exposure.background_gain, rng.uniform(0.3, 0.7)),
        detail_gain=max(exposure.detail_gain, rng.uniform(1.2, 2.0)),
        detail_width=rng.uniform(9, 26),
    )


@dataclass(slots=True, kw_only=True)
class _Levels:
    """What a console settles by the film it is shown first, and keeps for a twin of it."""

    dose: float | None = None
    middle: float | None = None
    window: tuple[float, float] | None = None
    processed: tuple[float, float] | None = None


def develop(
    thickness: Thickness, *, unit_mm: float, exposure: Exposure, rng: np.random.Generator, instead: Thickness | None = None
) -> Plane:
    """(rows, columns) float32 0..1 as displayed, bone bright.

    instead: another body that is shown with the dose, the noise and the window of the first: the films of the two differ
    where the bodies do.
    """
    levels = _Levels()
    noise = rng.standard_normal(thickness.soft.shape, dtype=np.float32)
    film = _developed(thickness, unit_mm, exposure, levels, noise)
    return film if instead is None else _developed(instead, unit_mm, exposure, levels, noise)


def _developed(thickness: Thickness, unit_mm: float, exposure: Exposure, levels: _Levels, noise: Plane) -> Plane:
    scale = thickness.soft.shape[0] / 256
    unit_cm = unit_mm / 10
    attenuation = thickness.soft * np.float32(exposure.soft_attenuation * unit_cm)
    attenuation += thickness.bone * np.float32(exposure.bone_attenuation * unit_cm)
    if levels.dose is None:
        dense = float(np.percentile(attenuation[::3, ::3], 97))
        levels.dose = min(1.0, exposure.peak / max(dense, 1e-3))
    attenuation *= np.float32(levels.dose)
    intensity = np.exp(-attenuation)
    intensity += np.float32(exposure.scatter_share) * _smooth(intensity, exposure.scatter_width * scale)
    if exposure.blur > 0.1:
        intensity = gaussian_filter(intensity, exposure.blur * scale, truncate=2.5)
    if levels.middle is None:
        levels.middle = float(np.median(intensity)) + 1e-4
    middle = levels.middle
    intensity += noise * np.sqrt(np.maximum(intensity, 0) * np.float32(middle / (exposure.photons * middle)))
    signal = -np.log(np.maximum(intensity, np.float32(1e-5)))
    return _display(signal, attenuation > 0.15, exposure, scale, levels)


def _display(signal: Plane, foreground: npt.NDArray[np.bool_], exposure: Exposure, scale: float, levels: _Levels) -> Plane:
    seen = foreground[::2, ::2]
    if levels.window is None:
        inside = signal[::2, ::2][seen] if seen.sum() > 125 else signal.ravel()
        levels.window = _percentiles(inside, exposure.window_percentiles)
    low, high = levels.window
    image = np.clip((signal - np.float32(low)) / np.float32(high - low + 1e-3), -0.2, 1.2)
    if (exposure.background_gain, exposure.detail_gain) != (1.0, 1.0):
        slow = _smooth(image, exposure.detail_width * scale)
        image = np.float32(exposure.background_gain) * slow + np.float32(exposure.detail_gain) * (image - slow)
        if exposure.sharpening > 0:
            image += np.float32(exposure.sharpening) * (image - gaussian_filter(image, 1.5 * scale, truncate=2.0))
        if levels.processed is None:
            inside = image[::2, ::2][seen] if seen.sum() > 125 else image.ravel()
            levels.processed = _percentiles(inside, (1, 99))
        low, high = levels.processed
        image = (image - np.float32(low)) / np.float32(high - low + 1e-3)
    image = np.clip(image, 0, 1) ** np.float32(exposure.gamma)
    if exposure.contrast > 0:
        steep, middle = exposure.contrast, exposure.contrast_middle
        floor, ceiling = 1 / (1 + np.exp(steep * middle)), 1 / (1 + np.exp(-steep * (1 - middle)))
        image = (1 / (1 + np.exp(-np.float32(steep) * (image - np.float32(middle)))) - floor) / (ceiling - floor)
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _percentiles(values: Plane, shares: tuple[float, float]) -> tuple[float, float]:
    low, high = np.percentile(values, shares)
    return low, high


def _smooth(image: Plane, sigma: float) -> Plane:
    """A wide Gaussian, computed on every fourth pixel where it is wide enough for that not to show."""
    if sigma < 8 or min(image.shape) < 64:
        return np.asarray(gaussian_filter(image, sigma, truncate=3.0), dtype=np.float32)
    rows, columns = image.shape
    small = image[: rows // 4 * 4, : columns // 4 * 4].reshape(rows // 4, 4, columns // 4, 4).mean(axis=(1, 3))
    return enlarge(gaussian_filter(small, sigma / 4, truncate=3.0), rows, columns)


def enlarge(image: Plane, rows: int, columns: int) -> Plane:
    """Bilinear, edges aligned at the outer corners of the pixels."""
    row = np.clip((np.arange(rows) + 0.5) * image.shape[0] / rows - 0.5, 0, image.shape[0] - 1)
    column = np.clip((np.arange(columns) + 0.5) * image.shape[1] / columns - 0.5, 0, image.shape[1] - 1)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    bottom, right = np.minimum(top + 1, image.shape[0] - 1), np.minimum(left + 1, image.shape[1] - 1)
    down = (row - top).astype(np.float32)[:, None]
    across = (column - left).astype(np.float32)[None, :]
    lines = image[:, left] * (1 - across) + image[:, right] * across
    return np.asarray(lines[top] * (1 - down) + lines[bottom] * down, dtype=np.float32)
