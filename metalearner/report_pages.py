"""Reports that a person opens: one HTML file that needs nothing else, readable on a phone, its plots drawn inside it.

    page = Page(title="…", lead=("…",), sections=(Section(heading="…", tables=(table,), plots=(plot,)),))
    write_page(folder / "report.html", page)

    with drawing() as axes:                      # matplotlib, in colours that the colour-blind tell apart
        axes.plot(x, y, **line_style(0))
    plot = drawn(axes, "What the picture shows, in words")

A page holds figures about animals and never an animal's name, number or picture; whoever makes one keeps to that.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

Tone = Literal["", "grey", "bad"]  # grey: too few cases to say much; bad: a warning

# Okabe and Ito 2008, "Color universal design"; lines differ by their dashes and marks too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("-", "--", "-.", ":")
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH_INCHES, HEIGHT_INCHES = 4.2, 3.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first cell of a row names it."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""

    def cells(self) -> list[list[Cell]]:
        return [[cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row] for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """source: a data: URI. words: what it shows, below it and for who cannot see it."""

    source: str
    words: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    heading: str
    words: Sequence[str] = ()
    banners: Sequence[Banner] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    title: str
    lead: Sequence[str] = ()
    banners: Sequence[Banner] = ()
    sections: Sequence[Section]
    foot: Sequence[str] = ()


def rendered(page: Page) -> str:
    return _templates().get_template("report.html").render(page=page)


def write_page(path: Path, page: Page) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(rendered(page), encoding="utf-8")
    beside.replace(path)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


@contextmanager
def drawing(*, width_inches: float = WIDTH_INCHES, height_inches: float = HEIGHT_INCHES) -> Iterator[Axes]:
    """Axes to draw on; `drawn` makes the picture, inside the block or after it."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes


_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.fonttype": "path",  # the reader's machine may lack the font
    "svg.hashsalt": "houndsfield",  # the same figures give the same file
}


def drawn(axes: Axes, words: str, *, wide: bool = False) -> Plot:
    """A vector picture: sharp on a phone and on paper."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # noqa: S101  `drawing` made it
    held = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(held, format="svg", metadata={"Date": None})
    encoded = base64.b64encode(held.getvalue()).decode("ascii")
    return Plot(source=f"data:image/svg+xml;base64,{encoded}", words=words, wide=wide)


def line_style(number: int) -> dict[str, Any]:
    """Of the n-th line of a plot: colour and dashes."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}


def mark_style(number: int) -> dict[str, Any]:
    """Of the n-th cloud of points: colour and shape."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": _MARKS[number % len(_MARKS)]}


def bars(counts: Mapping[str, float], words: str, *, unit: str = "images") -> Plot:
    """One bar for each name, from the top down, each with its number."""
    names = list(counts)
    with drawing(height_inches=max(0.8 + 0.28 * len(names), 1.4)) as axes:
        places = np.arange(len(names))
        drawn_bars = axes.barh(places, [counts[name] for name in names], color=COLOURS[0], height=0.7)
        axes.bar_label(drawn_bars, fmt="{:g}", padding=3)
        axes.set_yticks(places, [shortened(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        axes.margins(x=0.15)
        axes.grid(axis="y", visible=False)
        return drawn(axes, words)


def histogram(values: npt.ArrayLike, words: str, *, label: str, bins: int = 20) -> Plot:
    with drawing() as axes:
        axes.hist(np.asarray(values, dtype=float), bins=bins, color=COLOURS[0])
        axes.set_xlabel(label)
        axes.set_ylabel("images")
        return drawn(axes, words)


def grid(values: npt.ArrayLike, *, rows: Sequence[str], columns: Sequence[str], words: str, across: str, down: str) -> Plot:
    """Counts as a table of shaded squares with their numbers, such as a confusion matrix. values: (rows, columns)."""
    counts = np.asarray(values)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing(height_inches=1.2 + 0.5 * len(rows)) as axes:
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if share[row, column] > 0.7 else "black"
            axes.text(column, row, f"{count:g}", ha="center", va="center", color=ink)
        axes.set_xticks(range(len(columns)), [shortened(name) for name in columns])
        axes.set_yticks(range(len(rows)), [shortened(name) for name in rows])
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        axes.grid(visible=False)
        return drawn(axes, words)


def shortened(name: str, longest: int = 30) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
