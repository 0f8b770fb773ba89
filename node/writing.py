"""What is written of the answers, and for whom: one set of documents for each style among the destinations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from config.settings import Destination, Settings
from domain.errors import HoundsfieldError
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, Report, Style
from inference.reading import read_radiograph
from sr_writer import (
    draw_owner_picture,
    owner_page_series_uid,
    report_series_uid,
    write_overlay,
    write_owner_page,
    write_presentation_state,
    write_report,
    write_result_set,
    write_text_report,
)
from sr_writer.summary import write_summary

Pixels = npt.NDArray[np.float32]

WITHOUT_DESTINATION = (DocumentKind.SR, DocumentKind.SC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A document and the names of the destinations that want it."""

    document: Document
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was written of a study before, by whoever remembers it."""

    newest: Callable[[str], Document | None]  # the last document of a series
    of_images: Callable[[Sequence[str]], list[Document]]  # the images' documents that these destinations were owed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audience:
    """Destinations whose documents are the same; none of them where the results stay here."""

    style: Style
    destinations: tuple[Destination, ...]

    def wanting(self, kind: DocumentKind, *, overlays: str = "") -> tuple[str, ...] | None:
        """The names of those that want this kind; None when nobody does. `overlays`: "image" or "study", for overlays."""
        if not self.destinations:
            return () if kind in WITHOUT_DESTINATION and overlays != "study" else None
        names = tuple(to.name for to in self.destinations if kind in to.wanted and overlays in ("", to.overlays))
        return names or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    settings: Settings
    identity: Identity
    results: Path  # folder of the written documents

    def original(self, document: Document) -> list[Owed]:
        """What was received, for those to whom it is forwarded."""
        names = tuple(to.name for to in self.settings.destination if DocumentKind.ORIGINAL in to.wanted)
        return [Owed(document=document, destinations=names)] if names else []

    def of_image(
        self, evidence: Evidence, pixels: Pixels | None, *, study_instance_uid: str, number: int, made_at: datetime
    ) -> list[Owed]:
        """At once, when the image is answered: its overlay and its presentation state."""
        owed = []
        for audience in self._audiences():
            if (names := audience.wanting(DocumentKind.SC, overlays="image")) is not None:
                overlay = write_overlay(
                    evidence,
                    pixels=pixels,
                    study_instance_uid=study_instance_uid,
                    identity=self.identity,
                    style=audience.style,
                    directory=self.results,
                    number=number,
                    made_at=made_at,
                )
                owed.append(Owed(document=overlay, destinations=names))
            if (names := audience.wanting(DocumentKind.GSPS)) is not None:
                state = write_presentation_state(
                    evidence,
                    study_instance_uid=study_instance_uid,
                    identity=self.identity,
                    style=audience.style,
                    directory=self.results,
                    number=number,
                    made_at=made_at,
                )
                if state is not None:
                    owed.append(Owed(document=state, destinations=names))
        return owed

    def of_study(self, reports: Sequence[Report], before: Before) -> list[Owed]:
        """When the study is concluded: reports, summary, owner's page, and the set of all results."""
        return [owed for audience in self._audiences() for owed in self._of_audience(audience, reports, before)]

    def _of_audience(self, audience: _Audience, reports: Sequence[Report], before: Before) -> list[Owed]:
        owed = [each for report in reports for each in self._report(audience, report, before)]
        first = reports[0]
        if (names := audience.wanting(DocumentKind.SC, overlays="study")) is not None:
            summary = write_summary(
                first.evidence,
                pixels=[_pixels_of(item) for item in first.evidence],
                study_instance_uid=first.study_instance_uid,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                revision=first.revision,
                made_at=first.analysed_at,
            )
            owed.append(Owed(document=summary, destinations=names))
        names = audience.wanting(DocumentKind.KOS)
        named = [*(each.document for each in owed), *before.of_images(names or ())]
        if names is not None and named:  # a set of nothing is no document, and must not cost the others theirs
            result_set = write_result_set(
                named,
                source=first.evidence[0].path,
                study_instance_uid=first.study_instance_uid,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                number=first.revision,
                made_at=first.analysed_at,
            )
            owed.append(Owed(document=result_set, destinations=names))
        return owed

    def _report(self, audience: _Audience, report: Report, before: Before) -> Iterator[Owed]:
        style = audience.style
        for kind, write in ((DocumentKind.SR, write_report), (DocumentKind.TEXT_SR, write_text_report)):
            if (names := audience.wanting(kind)) is not None:
                document = write(
                    report,
                    identity=self.identity,
                    style=style,
                    directory=self.results,
                    previous=self._predecessor(report, partial(_series_uid, self.identity, style, kind), before),
                )
                yield Owed(document=document, destinations=names)
        if (names := audience.wanting(DocumentKind.PDF)) is not None:
            page = write_owner_page(
                report,
                identity=self.identity,
                style=style,
                directory=self.results,
                picture=_leading_picture(report),
                previous=self._predecessor(report, lambda each: owner_page_series_uid(each, self.identity), before),
            )
            yield Owed(document=page, destinations=names)

    def _audiences(self) -> list[_Audience]:
        """Where nobody wants results they are still written, in the node's language."""
        language = self.settings.node.language
        styles: dict[Style, list[Destination]] = {}
        for to in self.settings.destination:
            if set(to.wanted) != {DocumentKind.ORIGINAL}:
                styles.setdefault(to.style(language), []).append(to)
        if not styles:
            return [_Audience(style=Style(language=language), destinations=())]
        return [_Audience(style=style, destinations=tuple(group)) for style, group in styles.items()]

    def _predecessor(self, report: Report, series_of: Callable[[Report], str], before: Before) -> Document | None:
        """The last revision of this model's report, or the one that said that no model could answer."""
        return before.newest(series_of(report)) or before.newest(series_of(replace(report, model=None)))


def _series_uid(identity: Identity, style: Style, kind: DocumentKind, report: Report) -> str:
    return report_series_uid(report, identity, style, kind)


def _pixels_of(evidence: Evidence) -> Pixels | None:
    """The image again as displayed; None where it cannot be read."""
    try:
        return read_radiograph(evidence.path, assumed_species=None).pixels
    except HoundsfieldError:
        return None


def _leading_picture(report: Report) -> Image | None:
    """The first image that something was measured on, else the first, with its lines and without words."""
    measured = {finding.sop_instance_uid for finding in report.findings if finding.measurements}
    leading = next((item for item in report.evidence if item.answer.ref.sop_instance_uid in measured), report.evidence[0])
    pixels = _pixels_of(leading)
    return None if pixels is None else draw_owner_picture(leading, pixels=pixels)
