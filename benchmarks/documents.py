"""How long a report and an overlay take to build and write, and how that compares with bare highdicom.

One 3000 × 3000 image with a measured heart and three outlined findings, written again and again in one warm process: the SR,
the SR and its overlay, and, in turn with them, the same SR tree built of highdicom's content items and written the same
durable way, without anything else that this writer does. The two trees are compared item by item before anything is timed.

    make bench      or:  PYTHONPATH=tests python benchmarks/documents.py
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from answers import ANALYSED_AT, evidence, report
from factories import dx_file
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    ScoordContentItem,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from domain import codes
from domain.identity import Identity
from domain.types import Document, Evidence, Finding, FindingOutcome, Language, Report, Shape, Style
from inference.reading import read_radiograph
from sr_writer import objects, read_header, write_overlay, write_report

ROWS, COLUMNS = 3000, 3000
SR_LIMIT_MS, BOTH_LIMIT_MS, RATIO_LIMIT = 150.0, 350.0, 1.2
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is timed, on one image."""

    item: Evidence
    of: Report
    pixels: npt.NDArray[np.float32]
    folder: Path
    style: Style

    def sr(self) -> Document:
        return write_report(self.of, identity=Identity(), style=self.style, directory=self.folder)

    def overlay(self) -> Document:
        return write_overlay(
            self.item,
            pixels=self.pixels,
            study_instance_uid=self.of.study_instance_uid,
            identity=Identity(),
            style=self.style,
            directory=self.folder,
            number=1,
            made_at=ANALYSED_AT,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="houndsfield-bench-") as name:
        work = _prepare(Path(name))
        bare = _Bare(work)
        bare.check()
        shares = _Shares()
        timed: dict[str, Callable[[], object]] = {"SR": work.sr, "SC": work.overlay, "bare highdicom SR": bare.write}
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for turn in range(WARM_UP + options.rounds):
            for name, call in timed.items():
                with shares.of(name):
                    start = time.perf_counter()
                    call()
                    took = time.perf_counter() - start
                if turn >= WARM_UP:
                    seconds[name].append(took)
                else:
                    shares.clear()
        sizes = {"SR": work.sr().path.stat().st_size, "SC": work.overlay().path.stat().st_size}
    return _print(seconds, shares, sizes, options.rounds)


def _prepare(folder: Path) -> Work:
    path = dx_file(folder / "source.dcm", rows=ROWS, columns=COLUMNS, charset="ISO 2022 IR 149")
    item = evidence(path, "measured")
    uid = item.answer.ref.sop_instance_uid
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outlined = tuple(
        Finding(
            tracking=f"area {n}",
            concept=replace(codes.HEART, value=f"BENCH{n}", scheme=codes.PRIVATE_SCHEME, meaning=f"Finding {n}"),
            outcome=FindingOutcome.PRESENT,
            sop_instance_uid=uid,
            probability=0.9 - 0.1 * n,
            site=codes.HEART,
            regions=(
                Shape(
                    graphic_type="POLYLINE",
                    points=tuple((900.0 * n + 200 * np.cos(a), 1500.0 + 200 * np.sin(a)) for a in angles),
                ),
            ),
        )
        for n in (1, 2, 3)
    )
    (spoken,) = item.answer.models
    spoken = replace(spoken, findings=(*spoken.findings, *outlined))
    item = replace(item, answer=replace(item.answer, models=(spoken,)))
    study = read_header(path).text("StudyInstanceUID")
    pixels = read_radiograph(path, assumed_species=None).pixels
    return Work(
        item=item,
        of=report([item], study_instance_uid=study),
        pixels=pixels,
        folder=folder,
        style=Style(language=Language.KOREAN),
    )


# The same tree with highdicom alone


class _Bare:
    """highdicom's content items from plain values, its ComprehensiveSR, and a durable write."""

    def __init__(self, work: Work) -> None:
        self.source, self.folder = work.item.path, work.folder
        self.ours = dcmread(work.sr().path)
        self.plain = _plain(self.ours)

    def write(self) -> Path:
        source = dcmread(self.source, stop_before_pixels=True)
        content = _item(self.plain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = ComprehensiveSR(
                evidence=[source],
                content=content,
                series_instance_uid="2.25.1",
                series_number=1,
                sop_instance_uid="2.25.2",
                instance_number=1,
                manufacturer="bare",
                specific_character_set=None,
                is_complete=True,
            )
        ds.SpecificCharacterSet = self.ours.SpecificCharacterSet
        buffer = io.BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
        path = self.folder / "bare.dcm"
        objects.save(path, buffer.getvalue())
        return path

    def check(self) -> None:
        """SystemExit unless both trees hold the same items in the same order."""
        if _plain(dcmread(self.write())) != self.plain:
            raise SystemExit("the tree built with highdicom is not the one that is written: the ratio would mean nothing")


Plain = tuple[str, str, tuple[str, str, str], Any, tuple[Any, ...]]


def _plain(item: Dataset) -> Plain:
    """Value type, relationship, name, value and children of a content item."""
    kind = str(item.ValueType)
    children = tuple(_plain(child) for child in item.get("ContentSequence", ()))
    return kind, str(item.get("RelationshipType", "")), _code(item.ConceptNameCodeSequence[0]), _value(item, kind), children


def _code(item: Dataset) -> tuple[str, str, str]:
    return str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning)


def _value(item: Dataset, kind: str) -> Any:
    match kind:
        case "CODE":
            return _code(item.ConceptCodeSequence[0])
        case "TEXT":
            return str(item.TextValue)
        case "UIDREF":
            return str(item.UID)
        case "NUM":
            (measured,) = item.MeasuredValueSequence
            return float(measured.NumericValue), _code(measured.MeasurementUnitsCodeSequence[0])
        case "SCOORD":
            return str(item.GraphicType), tuple(map(float, item.GraphicData))
        case "IMAGE":
            (ref,) = item.ReferencedSOPSequence
            return str(ref.ReferencedSOPClassUID), str(ref.ReferencedSOPInstanceUID)
        case "CONTAINER":
            return tuple(str(template.TemplateIdentifier) for template in item.get("ContentTemplateSequence", ()))
    raise SystemExit(f"the benchmark does not know the value type {kind}")


def _item(plain: Plain) -> ContentItem:
    kind, relationship, name, value, children = plain
    concept, related = CodedConcept(*name), relationship or None
    item: ContentItem
    match kind:
        case "CODE":
            item = CodeContentItem(concept, CodedConcept(*value), related)
        case "TEXT":
            item = TextContentItem(concept, value, related)
        case "UIDREF":
            item = UIDRefContentItem(concept, value, related)
        case "NUM":
            item = NumContentItem(concept, value[0], CodedConcept(*value[1]), relationship_type=related)
        case "SCOORD":
            item = ScoordContentItem(concept, value[0], np.asarray(value[1]).reshape(-1, 2), relationship_type=related)
        case "IMAGE":
            item = ImageContentItem(concept, value[0], value[1], relationship_type=related)
        case _:
            item = ContainerContentItem(concept, template_id=next(iter(value), None), relationship_type=related)
    if children:
        item.ContentSequence = ContentSequence([_item(child) for child in children])
    return item


# What takes the time


class _Shares:
    """Seconds in named functions, by what was being timed; each call is timed where the writer looks it up."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self.timing = ""
        import sr_writer.drawing
        import sr_writer.overlay
        import sr_writer.write as writer

        for part, place, function in (
            ("read the header", writer, "read_header"),
            ("build the tree", writer, "root"),
            ("draw and compress the picture", sr_writer.overlay, "fill"),
            ("encode for the UID", objects, "_encode"),
            ("encode the file", objects, "dcmwrite"),
            ("write durably", objects, "save"),
        ):
            if not hasattr(place, function):
                raise SystemExit(f"{place.__name__}.{function} is gone: the shares would be wrong")
            setattr(place, function, self._timed(part, getattr(place, function)))

    def of(self, name: str) -> _Shares:
        self.timing = name
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.timing = ""

    def clear(self) -> None:
        self.seconds.clear()

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                key = (self.timing, part)
                self.seconds[key] = self.seconds.get(key, 0.0) + time.perf_counter() - start

        return timed


def _print(seconds: dict[str, list[float]], shares: _Shares, sizes: dict[str, int], rounds: int) -> int:
    median = {name: 1000 * statistics.median(all_of) for name, all_of in seconds.items()}
    both = 1000 * statistics.median(sr + sc for sr, sc in zip(seconds["SR"], seconds["SC"], strict=True))
    ratio = statistics.median(ours / bare for ours, bare in zip(seconds["SR"], seconds["bare highdicom SR"], strict=True))
    print(f"\nOne image of {COLUMNS} × {ROWS}, one measured heart and three outlined findings; {rounds} rounds, warm")
    print(f"{'':34} median ms   limit")
    for name, value, limit in (("SR", median["SR"], SR_LIMIT_MS), ("SR and SC", both, BOTH_LIMIT_MS)):
        print(f"{name:34} {value:9.1f} {limit:7.0f}")
    print(f"{'SC':34} {median['SC']:9.1f}")
    print(f"{'the same SR tree, bare highdicom':34} {median['bare highdicom SR']:9.1f}")
    print(f"{'SR as a ratio to it':34} {ratio:9.2f} {RATIO_LIMIT:7.1f}")
    for name in ("SR", "SC"):
        total = sum(seconds[name])
        print(f"{name}, {sizes[name] / 1000:.0f} kB:")
        known = [(part, spent) for (timed, part), spent in shares.seconds.items() if timed == name]
        for part, spent in _parts(known):
            print(f"  {part:32} {1000 * spent / rounds:9.1f} {100 * spent / total:6.0f} %")
    print(
        json.dumps(
            {
                "sr_ms": round(median["SR"], 1),
                "sr_and_sc_ms": round(both, 1),
                "ratio_to_highdicom": round(ratio, 2),
                "rounds": rounds,
            }
        )
    )
    return 0 if median["SR"] <= SR_LIMIT_MS and both <= BOTH_LIMIT_MS and ratio <= RATIO_LIMIT else 1


def _parts(known: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The first encoding calls what the second is timed by: without it, "encode the file" is the file alone."""
    spent = dict(known)
    spent["encode the file"] = spent.get("encode the file", 0.0) - spent.get("encode for the UID", 0.0)
    return sorted(spent.items(), key=lambda part: -part[1])


if __name__ == "__main__":
    sys.exit(main())
