"""What a training tells while it runs: a page that renews itself, for a phone too, and a log in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from metalearner.tasks import Recipe

PAGE, LOG = "live.html", "log.txt"
_REFRESH_SECONDS = 5
_WIDE, _HIGH, _MARGIN = 340, 180, 30
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A trial that has ended. curve: share of its way, quality."""

    number: int
    recipe: Recipe
    quality: float
    latency_ms: float
    seconds: float
    stopped: bool
    curve: tuple[tuple[float, float], ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "trial": self.number,
            "quality": self.quality,
            "latency_ms": self.latency_ms,
            "seconds": self.seconds,
            "recipe": self.recipe.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where a run stands. stage: search | final | finished. trial: the one that is taught now; front: by number."""

    stage: str
    name: str
    task: str
    trial: int | None
    trials: int
    ended: int
    done: float
    step: int
    loss: float
    quality: float
    latency_ms: float
    spent_seconds: float
    budget_seconds: float
    lines: tuple[Line, ...]
    front: tuple[int, ...]

    @property
    def now(self) -> str:
        if self.trial is None:
            return "Finished." if self.stage == "finished" else f"{self.ended} of {self.trials} trials."
        what = "Trial" if self.stage == "search" else "Finishing trial"
        best = "" if math.isnan(self.quality) else f", quality {self.quality:.3f}"
        return f"{what} {self.trial}: {self.done:.0%} of its way, step {self.step}{best}, {self.latency_ms:.1f} ms an image."


def note(folder: Path, said: str) -> None:
    """A line of log.txt, with the time."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M:%S} {said}\n")


def write(folder: Path, told: Told) -> None:
    beside = folder / f".{PAGE}.new"
    beside.write_text(page(told), encoding="utf-8")
    beside.replace(folder / PAGE)


def page(told: Told) -> str:
    refresh = "" if told.stage == "finished" else f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">'
    minutes = f"{told.spent_seconds / 60:.1f} of {told.budget_seconds / 60:.1f} minutes"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>{escape(told.name)}</title><style>
body {{ font: 16px/1.4 sans-serif; margin: 1em auto; padding: 0 1em; max-width: 46em; color: #222 }}
progress {{ width: 100% }} table {{ border-collapse: collapse; width: 100%; font-size: 14px }}
td, th {{ text-align: left; padding: .2em .5em .2em 0; border-bottom: 1px solid #ddd }}
.front {{ font-weight: bold }} .stopped {{ color: #888 }} .scroll {{ overflow-x: auto }} svg {{ max-width: 100% }}
</style></head><body>
<h1>{escape(told.task)}</h1><p>{escape(told.name)}: {minutes}. {escape(told.now)}</p>
<progress max="1" value="{min(told.spent_seconds / max(told.budget_seconds, 1), 1):.3f}"></progress>
<h2>Better and faster</h2><p>Each dot a trial; in bold those that no other beats in both: the front to pick from.</p>
{_front(told)}
<h2>Trials</h2><div class="scroll"><table>
<tr><th>trial<th>quality<th>ms<th>network<th>input<th>loss<th>seconds</tr>
{"".join(_row(line, told) for line in sorted(told.lines, key=lambda line: -line.quality))}</table></div>
<h2>Quality on the way</h2>{_curves(told)}
</body></html>
"""


def _row(line: Line, told: Told) -> str:
    kind = "front" if line.number in told.front else "stopped" if line.stopped else ""
    recipe = line.recipe
    cells = (
        str(line.number),
        f"{line.quality:.3f}",
        f"{line.latency_ms:.1f}",
        f"{recipe.family} {recipe.width}",
        f"{recipe.rows} × {recipe.columns}",
        recipe.loss,
        f"{line.seconds:.0f}{', ended early' if line.stopped else ''}",
    )
    return f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}" for cell in cells) + "</tr>\n"


def _front(told: Told) -> str:
    if not told.lines:
        return "<p>None has ended yet.</p>"
    points = [(math.log(line.latency_ms), line.quality) for line in told.lines]
    dots = []
    for (x, y), line in zip(_scaled(points, points), told.lines, strict=True):
        bold = line.number in told.front
        colour, radius = ("#0072B2", 5) if bold else ("#aaa", 3)
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')
        dots.append(f'<text x="{x + 6:.1f}" y="{y - 4:.1f}" font-size="11">{line.number}</text>' if bold else "")
    return _plot("".join(dots), points, across="ms an image", low=math.exp(min(points)[0]), high=math.exp(max(points)[0]))


def _curves(told: Told) -> str:
    every = [point for line in told.lines for point in line.curve]
    if not every:
        return "<p>None has ended yet.</p>"
    drawn = []
    for line in told.lines:
        colour = "#0072B2" if line.number in told.front else "#bbb"
        along = " ".join(f"{x:.1f},{y:.1f}" for x, y in _scaled(list(line.curve), every))
        drawn.append(f'<polyline points="{along}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return _plot("".join(drawn), every, across="share of the way", low=min(every)[0], high=max(every)[0])


def _scaled(points: Points, among: Points) -> Points:
    (left, right), (low, high) = ((min(values), max(values)) for values in zip(*among, strict=True))
    wide, tall = max(right - left, 1e-9), max(high - low, 1e-9)
    return [
        (_MARGIN + (x - left) / wide * (_WIDE - 2 * _MARGIN), _HIGH - _MARGIN - (y - low) / tall * (_HIGH - 2 * _MARGIN))
        for x, y in points
    ]


def _plot(drawn: str, among: Points, *, across: str, low: float, high: float) -> str:
    bottom, top = min(y for _, y in among), max(y for _, y in among)
    axes = f"M{_MARGIN},{_MARGIN} V{_HIGH - _MARGIN} H{_WIDE - _MARGIN}"
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="quality against {across}" font-size="10">'
        f'<path d="{axes}" fill="none" stroke="#888"/>{drawn}'
        f'<text x="2" y="{_MARGIN - 8}">quality {top:.3f}</text><text x="2" y="{_HIGH - _MARGIN + 12}">{bottom:.3f}</text>'
        f'<text x="{_MARGIN}" y="{_HIGH - 4}">{low:.3g}</text>'
        f'<text x="{_WIDE - _MARGIN}" y="{_HIGH - 4}" text-anchor="end">{across} {high:.3g}</text></svg>'
    )
