"""What a model was taught with, as histograms: `fingerprint.json` in its package, so that drift is seen without the images.

    {"format": 1, "images": 412,
     "numbers": {"brightness": {"n": 412, "edges": [8 numbers], "counts": [9 numbers], "quantiles": [201 numbers]}, …},
     "words": {"view": {"right-lateral": 230, …}, …},
     "patients": ["9f86d081", …]}

Numbers: brightness, contrast, sharpness and the shares of black and white of the plane that the network sees; rows, columns
and the millimetres of a pixel in the source; `probability CONCEPT`, calibrated, as filed. counts: below the first edge,
between each two, from the last on. patients: marks of who was trained on, from which no pseudonym can be had.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, ks_2samp, kstwobign

from domain.errors import ModelInvalid
from inference.manifest import FINGERPRINT

FloatArray = npt.NDArray[np.float64]

FORMAT = 1
PROBABILITY = "probability"
_QUANTILES = 201
_BINS = 10
_BLACK, _WHITE = 0.02, 0.98
# Of a probability the same for every model: tenths, and closer where most of them lie.
_PROBABILITY_EDGES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def fingerprint(
    planes: npt.NDArray[np.uint8],
    *,
    sizes: Sequence[tuple[int, int]] = (),
    spacings_mm: Sequence[float | None] = (),
    probabilities: Mapping[str, npt.ArrayLike] | None = None,
    views: Iterable[str] = (),
    species: Iterable[str] = (),
    patients: Iterable[str] = (),
) -> dict[str, Any]:
    """planes: (n, rows, columns), the images that were trained on as the network saw them, before augmentation.

    sizes: rows and columns of the sources. spacings_mm: of a pixel, across. patients: pseudonyms of those trained on.
    probabilities: calibrated, by concept, of patients that were *not* trained on, of whom a network is as sure as it will be
    of those in a clinic; of as many images as there are.
    """
    numbers = {name: [row[name] for row in map(looks, planes)] for name in LOOKS} if len(planes) else {}
    numbers |= source_numbers(sizes, spacings_mm)
    numbers |= {f"{PROBABILITY} {concept}": list(np.asarray(p, float)) for concept, p in (probabilities or {}).items()}
    return {
        "format": FORMAT,
        "images": len(planes),
        "numbers": {name: _histogram(name, values) for name, values in numbers.items() if _finite(values).size},
        "words": {name: dict(Counter(filter(None, told))) for name, told in (("view", views), ("species", species))},
        "patients": sorted({patient_mark(patient) for patient in patients}),
    }


LOOKS = ("brightness", "contrast", "sharpness", "black", "white")


def looks(plane: npt.NDArray[np.generic]) -> dict[str, float]:
    """Numbers that say how an image looks to the network, however it lies. plane: uint8 0 … 255, or float 0 … 1."""
    gray = plane.astype(np.float32)
    if plane.dtype == np.uint8:
        gray = gray / np.float32(255)
    edges = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    return {
        "brightness": float(gray.mean()),
        "contrast": float(gray.std()),
        "sharpness": float(edges.std()),
        "black": float((gray <= _BLACK).mean()),
        "white": float((gray >= _WHITE).mean()),
    }


def source_numbers(sizes: Sequence[tuple[int, int]], spacings_mm: Sequence[float | None]) -> dict[str, list[float]]:
    told: dict[str, list[float]] = {}
    if sizes:
        told = {"rows": [float(rows) for rows, _ in sizes], "columns": [float(columns) for _, columns in sizes]}
    known = [spacing for spacing in spacings_mm if spacing]
    return told | ({"millimetres of a pixel": known} if known else {})


def patient_mark(patient: str) -> str:
    """So short that many could have it, and long enough to say that a patient was most likely among them."""
    return hashlib.sha256(f"houndsfield patient {patient}".encode()).hexdigest()[:8]


def _finite(values: npt.ArrayLike) -> FloatArray:
    given = np.asarray(values, dtype=np.float64)
    return given[np.isfinite(given)]


def _histogram(name: str, values: npt.ArrayLike) -> dict[str, Any]:
    known = _finite(values)
    edges = np.asarray(_PROBABILITY_EDGES)
    if not name.startswith(PROBABILITY):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    quantiles = np.quantile(known, np.linspace(0, 1, _QUANTILES), method="inverted_cdf")
    return {
        "n": len(known),
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "counts": _counted(known, edges),
        "quantiles": [float(f"{value:.6g}") for value in quantiles],
    }


def _counted(values: FloatArray, edges: npt.ArrayLike) -> list[int]:
    given = np.asarray(edges)
    return [int(n) for n in np.bincount(np.searchsorted(given, values, side="right"), minlength=len(given) + 1)]


def write_fingerprint(directory: Path, content: Mapping[str, Any]) -> None:
    (directory / FINGERPRINT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_fingerprint(directory: Path) -> dict[str, Any] | None:
    """None where the package has none. ModelInvalid for one that is none."""
    try:
        said = json.loads((directory / FINGERPRINT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"model package {directory.name}: {FINGERPRINT} cannot be read") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT or not _holds(said):
        raise ModelInvalid(f"model package {directory.name}: {FINGERPRINT} is not what this version reads")
    return said


def _holds(said: Mapping[str, Any]) -> bool:
    try:
        return all(
            len(one["counts"]) == len(one["edges"]) + 1 and len(one["quantiles"]) > 1 and one["n"] > 0
            for one in said["numbers"].values()
        ) and all(isinstance(count, int) for one in said["words"].values() for count in one.values())
    except (KeyError, TypeError, AttributeError):
        return False


def drift_of_number(known: Mapping[str, Any], values: npt.ArrayLike) -> tuple[int, float, float, float, float]:
    """n, the population stability index, the index that chance alone stays below (99 %), Kolmogorov and Smirnov's distance
    and its p value. known: a number of a fingerprint."""
    found = _finite(values)
    counts = _counted(found, known["edges"])
    psi, by_chance = stability_index(known["counts"], counts)
    # The quantiles stand for the n that they were taken of: the distance is right to half a percent.
    distance = float(ks_2samp(known["quantiles"], found).statistic) if len(found) else math.nan
    effective = known["n"] * len(found) / (known["n"] + len(found))
    return len(found), psi, by_chance, distance, float(kstwobign.sf(math.sqrt(effective) * distance))


def drift_of_words(known: Mapping[str, int], found: Sequence[str]) -> tuple[int, float, float]:
    """n, index and what chance stays below. A word that nobody was taught with is drift as well."""
    told = Counter(filter(None, found))
    names = sorted({*known, *told})
    return sum(told.values()), *stability_index([known.get(name, 0) for name in names], [told[name] for name in names])


def stability_index(taught: Sequence[int], found: Sequence[int]) -> tuple[float, float]:
    """Σ (q − p) ln(q / p) over the bins, half a case added to each so that empty ones have a logarithm; and the 99th
    percentile of it where nothing has drifted, (1/n + 1/m) χ² with one degree of freedom less than bins (Yurdakul 2018):
    few cases make large indices by chance.
    """
    first, second = np.asarray(taught, dtype=float), np.asarray(found, dtype=float)
    if second.sum() == 0 or first.sum() == 0:
        return math.nan, math.nan
    p, q = ((one + 0.5) / (one.sum() + 0.5 * len(one)) for one in (first, second))
    by_chance = (1 / first.sum() + 1 / second.sum()) * chi2.ppf(0.99, max(len(first) - 1, 1))
    return float(((q - p) * np.log(q / p)).sum()), float(by_chance)
