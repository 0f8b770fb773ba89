"""From planes to the tensor that a manifest asks for, and from a network's numbers to probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.manifest import Activation, Calibration, Input

Tensor = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

LEAST_PROBABILITY = 1e-7  # so that a logit is finite


def prepared(planes: Tensor, wanted: Input) -> Tensor:
    """planes: (n, 1, rows, columns) 0..1, to (n, channels, rows, columns) or (n, rows, columns, channels)."""
    values = np.repeat(planes, wanted.channels, axis=1) if wanted.channels > 1 else planes
    if (wanted.white, wanted.mean, wanted.std) != (1.0, (0.0,), (1.0,)):
        mean, std = (np.array(given, dtype=np.float32).reshape(1, -1, 1, 1) for given in (wanted.mean, wanted.std))
        values = (values * np.float32(wanted.white) - mean) / std
    if wanted.layout == "channels-last":
        values = np.moveaxis(values, 1, -1)
    return np.ascontiguousarray(values, dtype=np.float32)


def probabilities(values: Tensor, activation: Activation, *, axis: int = -1) -> FloatArray:
    """ValueError when an output that should hold probabilities does not."""
    numbers = values.astype(np.float64)
    if activation == "sigmoid":
        return sigmoid(numbers)
    if activation == "softmax":
        powers = np.exp(numbers - numbers.max(axis=axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis=axis, keepdims=True))
    if numbers.size and not (numbers.min() >= -1e-3 and numbers.max() <= 1 + 1e-3):
        raise ValueError("an output that should hold probabilities does not")
    return np.clip(numbers, 0, 1)


def calibrated(probability: float, calibration: Calibration) -> float:
    """Platt scaling of the logit."""
    if (calibration.slope, calibration.intercept) == (1.0, 0.0):
        return probability
    within = min(max(probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    logit = np.log(within / (1 - within))
    return float(sigmoid(np.array(logit * calibration.slope + calibration.intercept)))


def sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))))
