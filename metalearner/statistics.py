"""Figures of a model and how sure they are.

Intervals are of 95 %, from bootstrap resamples of *patients*, with all their images: images of one animal are no independent
cases. Scores and truths are (n,), truth 1 or 0. A figure takes weights, (resamples, n): how often each case was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from metalearner.calibration import BINS, bin_of, calibration_error

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Figure = Callable[[FloatArray], FloatArray]  # (resamples, n) weights to (resamples,)

LEVEL = 0.95
RESAMPLES = 1000
_BLOCK = 4_000_000  # weights at a time: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """NaN where there is none. low and high: of its 95 % interval."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def as_json(self) -> dict[str, float | None]:
        return {name: number(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Of two models on the same cases: the second less the first. p: two-sided."""

    difference: Estimate
    p: float
    test: str


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """groups: (n,) number of each case's patient, from 0. The same seed draws the same ones: two models can be paired."""

    groups: npt.NDArray[np.int64]
    seed: int
    count: int = RESAMPLES

    @classmethod
    def of(cls, patients: Sequence[str], *, seed: int, count: int = RESAMPLES) -> Resamples:
        return cls(groups=np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1].ravel(), seed=seed, count=count)

    def among(self, chosen: BoolArray) -> Resamples:
        """Of these cases alone."""
        return self if chosen.all() else self.taken(np.flatnonzero(chosen))

    def taken(self, cases: npt.NDArray[np.int64]) -> Resamples:
        """Of these, by their numbers; one may be taken several times, such as for each of its landmarks."""
        groups = np.unique(self.groups[cases], return_inverse=True)[1].ravel()
        return Resamples(groups=groups, seed=self.seed, count=self.count)

    def patients(self, chosen: BoolArray | None = None) -> int:
        return len(np.unique(self.groups if chosen is None else self.groups[chosen]))

    def of_figure(self, figure: Figure) -> FloatArray:
        """(count,), or fewer where some resamples have no such figure."""
        step = max(_BLOCK // max(len(self.groups), 1), 1)
        blocks = [self._drawn[start : start + step, self.groups] for start in range(0, len(self._drawn), step)]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.concatenate([np.zeros(0), *map(figure, blocks)])
        return found[np.isfinite(found)]

    def sums(self, *columns: npt.NDArray[np.generic]) -> FloatArray:
        """(columns, count): of each resample the sum over its cases. columns: (n,)."""
        each = [np.bincount(self.groups, weights=column, minlength=self._drawn.shape[1]) for column in columns]
        return np.asarray((self._drawn @ np.stack(each, axis=1)).T)

    def estimate(self, figure: Figure) -> Estimate:
        return interval(of_all(figure, len(self.groups)), self.of_figure(figure))

    def mean(self, values: FloatArray) -> Estimate:
        return self._ratio(values, np.ones(len(values)))

    def share(self, among: BoolArray, hits: BoolArray) -> Estimate:
        """Of those among the cases the share that `hits`. Where all or none do, resamples know no doubt, and the interval is
        the exact binomial one (Clopper and Pearson 1934) of as many patients."""
        found = self._ratio(among & hits, among)
        return _exact(found, self.patients(among)) if found.value in (0.0, 1.0) else found

    def auc(self, scores: FloatArray, truth: npt.ArrayLike) -> Estimate:
        """One that is 1 or 0 gets the exact interval of as many pairs of patients as are independent of each other."""
        yes = np.asarray(truth) == 1
        found = self.estimate(auc_figure(scores, yes))
        pairs = min(self.patients(yes), self.patients(~yes)) if len(yes) else 0
        return _exact(found, pairs) if found.value in (0.0, 1.0) else found

    def calibration_error(self, said: FloatArray, came_true: npt.ArrayLike) -> Estimate:
        """`calibration.calibration_error`. Resamples are further off than the cases they are drawn from: they are moved back
        by as much."""
        value = calibration_error(said, came_true)
        off = np.eye(BINS)[bin_of(said)] * (said - np.asarray(came_true, dtype=float))[:, None]
        *apart, cases = self.sums(*off.T, np.ones(len(said)))
        if not len(cases):
            return Estimate(value=value)
        found = np.abs(apart).sum(axis=0) / cases
        return interval(value, np.clip(found - (found.mean() - value), 0, 1))

    def _ratio(self, above: npt.NDArray[np.generic], below: npt.NDArray[np.generic]) -> Estimate:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(np.divide(above.sum(), below.sum())) if len(below) else math.nan
            over, under = self.sums(above, below)
            found = over / under
        return interval(value, found[np.isfinite(found)])

    @cached_property
    def _drawn(self) -> FloatArray:
        """(count, patients): how often each was drawn."""
        patients = self.patients()
        if not patients:
            return np.zeros((self.count, 0))
        drawn = np.random.default_rng(self.seed).integers(patients, size=(self.count, patients))
        at = drawn + np.arange(self.count)[:, None] * patients
        return np.bincount(at.ravel(), minlength=self.count * patients).reshape(self.count, patients).astype(np.float64)


def number(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return round(float(value), 6) if math.isfinite(value) else None


def of_all(figure: Figure, count: int) -> float:
    """Of the cases themselves."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(figure(np.ones((1, count)))[0])


def interval(value: float, found: FloatArray) -> Estimate:
    """Percentiles of resamples; none of fewer than half of them with a figure."""
    if not math.isfinite(value) or len(found) < 2:
        return Estimate(value=value)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(min(low, value)), high=float(max(high, value)))


def _exact(found: Estimate, cases: int) -> Estimate:
    least = ((1 - LEVEL) / 2) ** (1 / cases) if cases else 0.0
    return Estimate(value=1.0, low=least, high=1.0) if found.value == 1 else Estimate(value=0.0, low=0.0, high=1 - least)


def wilson(hits: int, cases: int) -> Estimate:
    """A share with the interval of Wilson 1927."""
    if not cases:
        return Estimate(value=math.nan)
    z = norm.ppf((1 + LEVEL) / 2)
    share = hits / cases
    middle = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    half = z / (1 + z * z / cases) * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return Estimate(value=share, low=max(float(middle - half), 0.0), high=min(float(middle + half), 1.0))


def auc_figure(scores: FloatArray, yes: BoolArray) -> Figure:
    """The share of pairs, one with the finding and one without, that are in the right order; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = _runs(scores[order])
    having = yes[order]

    def of(weights: FloatArray) -> FloatArray:
        drawn = weights[:, order]
        with_it = np.add.reduceat(drawn * having, starts, axis=1)
        without = np.add.reduceat(drawn * ~having, starts, axis=1)
        in_order = (with_it * (np.cumsum(without, axis=1) - without / 2)).sum(axis=1)
        return np.asarray(in_order / (with_it.sum(axis=1) * without.sum(axis=1)))

    return of if len(scores) else _nothing


def precision_figure(scores: FloatArray, yes: BoolArray) -> Figure:
    """Average precision: the mean over those with the finding of the share of right ones at or above their score."""
    order = np.argsort(-scores, kind="stable")
    starts = _runs(scores[order])
    having = yes[order]

    def of(weights: FloatArray) -> FloatArray:
        drawn = weights[:, order]
        with_it = np.add.reduceat(drawn * having, starts, axis=1)
        above = np.cumsum(np.add.reduceat(drawn, starts, axis=1), axis=1)
        precision = np.cumsum(with_it, axis=1) / np.maximum(above, 1e-12)  # above the first that was drawn there is none
        return np.asarray((with_it * precision).sum(axis=1) / with_it.sum(axis=1))

    return of if len(scores) else _nothing


def mean_figure(values: FloatArray) -> Figure:
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def share_figure(among: BoolArray, hits: BoolArray) -> Figure:
    both, all_ = (among & hits).astype(float), among.astype(float)
    return lambda weights: np.asarray((weights @ both) / (weights @ all_))


def _runs(ordered: FloatArray) -> npt.NDArray[np.int64]:
    """Where each run of equal numbers starts."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, dtype=np.int64)


def _nothing(weights: FloatArray) -> FloatArray:
    return np.full(len(weights), np.nan)


def auc(scores: FloatArray, truth: npt.ArrayLike) -> float:
    """Truths that are neither 1 nor 0 do not count. NaN where there is only one kind."""
    given = np.asarray(truth)
    known = (given == 0) | (given == 1)
    return of_all(auc_figure(np.asarray(scores)[known], given[known] == 1), int(known.sum()))


def roc(scores: FloatArray, truth: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Shares of false alarms and of found ones, from the highest threshold down, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    yes = np.asarray(truth)[order] == 1
    ends = np.r_[_runs(scores[order])[1:] - 1, len(scores) - 1]
    found, alarms = np.cumsum(yes)[ends] / max(yes.sum(), 1), np.cumsum(~yes)[ends] / max((~yes).sum(), 1)
    return np.r_[0.0, alarms], np.r_[0.0, found]


def delong(first: FloatArray, second: FloatArray, truth: npt.ArrayLike, patients: Sequence[str]) -> Paired:
    """Two areas under ROC curves of the same cases (DeLong et al. 1988, by the midranks of Sun and Xu 2014). Images of one
    patient are taken together (Obuchowski 1997); with one image each that is DeLong's test. p is NaN without a variance.
    """
    yes = np.asarray(truth) == 1
    groups = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1].ravel()
    with_it, without = int(yes.sum()), int((~yes).sum())
    areas, sums = [], []
    for scores in (first, second):
        ranks = rankdata(scores)
        of_yes = (ranks[yes] - rankdata(scores[yes])) / without  # of each with the finding: the share without it below
        of_no = 1 - (ranks[~yes] - rankdata(scores[~yes])) / with_it
        area = of_yes.mean()
        parts = [(of_yes - area, groups[yes]), (of_no - area, groups[~yes])]
        sums.append([np.bincount(where, weights=part, minlength=groups.max() + 1) for part, where in parts])
        areas.append(area)
    change = np.subtract(sums[1], sums[0])  # (2, patients)
    patients_yes, patients_no, all_ = (len(np.unique(where)) for where in (groups[yes], groups[~yes], groups))
    variance = (
        _spread(patients_yes) * (change[0] @ change[0]) / with_it**2
        + _spread(patients_no) * (change[1] @ change[1]) / without**2
        + 2 * _spread(all_) * (change[0] @ change[1]) / (with_it * without)
    )
    difference = float(areas[1] - areas[0])
    if not variance > 1e-15:
        p = 1.0 if abs(difference) < 1e-12 else math.nan
        return Paired(difference=Estimate(value=difference), p=p, test="DeLong")
    deviation = math.sqrt(variance)
    half = float(norm.ppf((1 + LEVEL) / 2)) * deviation
    p = float(2 * norm.sf(abs(difference) / deviation))
    return Paired(difference=Estimate(value=difference, low=difference - half, high=difference + half), p=p, test="DeLong")


def _spread(groups: int) -> float:
    return groups / (groups - 1) if groups > 1 else math.nan


def paired_bootstrap(first: Figure, second: Figure, resamples: Resamples) -> Paired:
    """Any figure of two models, on the same resamples. p: twice the share of them on the rarer side of no difference."""

    def change(weights: FloatArray) -> FloatArray:
        return second(weights) - first(weights)

    value, found = of_all(change, len(resamples.groups)), resamples.of_figure(change)
    if not len(found) or not math.isfinite(value):
        return Paired(difference=Estimate(value=value), p=math.nan, test="paired bootstrap")
    rarer = min((found <= 0).sum(), (found >= 0).sum())
    p = min(2 * (rarer + 1) / (len(found) + 1), 1.0)
    return Paired(difference=interval(value, found), p=float(p), test="paired bootstrap")


def holm(ps: Sequence[float]) -> list[float]:
    """p values of several tests, made honest about their number (Holm 1979). NaN stays."""
    given = np.asarray(ps, dtype=float)
    known = np.flatnonzero(np.isfinite(given))
    adjusted = given.copy()
    highest = 0.0
    for rank, at in enumerate(known[np.argsort(given[known], kind="stable")]):
        highest = max(highest, min((len(known) - rank) * given[at], 1.0))
        adjusted[at] = highest
    return [float(p) for p in adjusted]
