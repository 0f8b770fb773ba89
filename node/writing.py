"""What is written of the answers, and for whom: one set of documents for each style among the destinations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog
from PIL.Image import Image

from config.settings import Destination, Settings
from domain.errors import HoundsfieldError, NotFound, StorageUnavailable
from domain.identity import Identity
from domain.types import Document, DocumentKind, Evidence, Radiograph, Report, Style
from inference.reading import read_radiograph
from sr_writer import (
    draw_owner_picture,
    owner_page_series_uid,
    report_series_uid,
    summary_series_uid,
    write_overlay,
    write_owner_page,
    write_presentation_state,
    write_report,
    write_result_set,
    write_summary,
    write_text_report,
)
from sr_writer.owner_words import scaled
from sr_writer.write import read

Pixels = npt.NDArray[np.float32]

WITHOUT_DESTINATION = (DocumentKind.SR, DocumentKind.SC)
# What a vet reads: when one of these cannot be written the task has failed. The others accompany them.
ANSWERS = (DocumentKind.SR, DocumentKind.TEXT_SR, DocumentKind.SC)

GONE = "the received file is gone: nothing says whose results these would be"

log = structlog.get_logger()


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


@dataclass(frozen=True, slots=True)
class _Written:
    """What could be written, and what could not: a document that breaks must not take the others with it."""

    owed: list[Owed] = field(default_factory=list)
    broken: list[tuple[DocumentKind, tuple[str, ...], Exception]] = field(default_factory=list)

    def add(self, kind: DocumentKind, names: tuple[str, ...] | None, write: Callable[[], Document | None]) -> None:
        """names: None when nobody wants it. OSError and StorageUnavailable are this machine's: all of it waits then."""
        if names is None:
            return
        try:
            document = write()
        except (OSError, StorageUnavailable):
            raise
        except Exception as error:  # noqa: BLE001  whatever breaks one writer: raised by `complete` where it must be
            log.error("a document could not be written", kind=kind.value, error=type(error).__name__)
            self.broken.append((kind, names, error))
            return
        if document is not None:
            self.owed.append(Owed(document=document, destinations=names))

    def complete(self) -> list[Owed]:
        """Raises what broke an answer, or left a destination without any document."""
        reached = {name for each in self.owed for name in each.destinations}
        for kind, names, error in self.broken:
            if kind in ANSWERS or not reached.issuperset(names):
                raise error
        return self.owed


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
        """At once, when the image is answered: its overlay and its presentation state. NotFound when its file is gone."""
        if not _is_there(evidence):
            raise NotFound(GONE)
        written = _Written()
        for audience in self._audiences():

            def overlay(style: Style = audience.style) -> Document:
                return write_overlay(
                    evidence,
                    pixels=pixels,
                    study_instance_uid=study_instance_uid,
                    identity=self.identity,
                    style=style,
                    directory=self.results,
                    number=number,
                    made_at=made_at,
                )

            def state(style: Style = audience.style) -> Document | None:
                return write_presentation_state(
                    evidence,
                    study_instance_uid=study_instance_uid,
                    identity=self.identity,
                    style=style,
                    directory=self.results,
                    number=number,
                    made_at=made_at,
                )

            written.add(DocumentKind.SC, audience.wanting(DocumentKind.SC, overlays="image"), overlay)
            written.add(DocumentKind.GSPS, audience.wanting(DocumentKind.GSPS), state)
        return written.complete()

    def of_study(self, reports: Sequence[Report], before: Before) -> list[Owed]:
        """When the study is concluded: reports, summary, owner's page, and the set of all results.

        NotFound when the files of all its images are gone: nothing says whose results these would be.
        """
        if not any(map(_is_there, reports[0].evidence)):
            raise NotFound(GONE)
        return self._of_study(reports, before).complete()

    def of_given_up(self, report: Report, before: Before) -> list[Owed]:
        """The same for a study whose reports broke again and again: as much as can be written of one that says FAILED."""
        if not any(map(_is_there, report.evidence)):
            return []
        return self._of_study([report], before).owed

    def _of_study(self, reports: Sequence[Report], before: Before) -> _Written:
        written = _Written()
        reports = [read(report)[0] for report in reports]  # "image 2 of 3" is the same in every document
        for audience in self._audiences():
            self._of_audience(audience, reports, before, written)
        return written

    def _of_audience(self, audience: _Audience, reports: Sequence[Report], before: Before, written: _Written) -> None:
        before_it = len(written.owed)
        first = reports[0]
        for report in reports:
            self._report(audience, report, before, written)

        def summary() -> Document:
            return write_summary(
                first.evidence,
                pixels=[_pixels_of(item) for item in first.evidence],
                study_instance_uid=first.study_instance_uid,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                revision=first.revision,
                made_at=first.analysed_at,
            )

        def result_set(names: Sequence[str]) -> Document | None:
            summaries = summary_series_uid(
                first.study_instance_uid, self.identity, audience.style
            )  # older ones are superseded
            of_images = (each for each in before.of_images(names) if each.series_instance_uid != summaries)
            named = [*(each.document for each in written.owed[before_it:]), *of_images]
            if not named:  # a set of nothing is no document, and must not cost the others theirs
                return None
            return write_result_set(
                named,
                source=first.evidence[0].path,
                study_instance_uid=first.study_instance_uid,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                number=first.revision,
                made_at=first.analysed_at,
            )

        written.add(DocumentKind.SC, audience.wanting(DocumentKind.SC, overlays="study"), summary)
        wanting = audience.wanting(DocumentKind.KOS)
        written.add(DocumentKind.KOS, wanting, lambda: result_set(wanting or ()))

    def _report(self, audience: _Audience, report: Report, before: Before, written: _Written) -> None:
        def structured(kind: DocumentKind, write: Callable[..., Document]) -> Document:
            return write(
                report,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                previous=self._predecessor(report, partial(_series_uid, self.identity, audience.style, kind), before),
            )

        def page() -> Document:
            return write_owner_page(
                report,
                identity=self.identity,
                style=audience.style,
                directory=self.results,
                picture=_leading_picture(report),
                previous=self._predecessor(report, partial(_page_series_uid, self.identity, audience.style), before),
            )

        for kind, write in ((DocumentKind.SR, write_report), (DocumentKind.TEXT_SR, write_text_report)):
            written.add(kind, audience.wanting(kind), partial(structured, kind, write))
        written.add(DocumentKind.PDF, audience.wanting(DocumentKind.PDF), page)

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


def _page_series_uid(identity: Identity, style: Style, report: Report) -> str:
    return owner_page_series_uid(report, identity, style)


def _is_there(evidence: Evidence) -> bool:
    """Whether its file is; FileNotFoundError where its whole folder is missing: a disk that is not mounted comes back."""
    if evidence.path.exists():
        return True
    evidence.path.parent.stat()
    return False


def _pixels_of(evidence: Evidence) -> Pixels | None:
    """The image again as displayed; None where it cannot be read."""
    seen = _radiograph(evidence)
    return None if seen is None else seen.pixels


def _radiograph(evidence: Evidence) -> Radiograph | None:
    try:
        return read_radiograph(evidence.path, assumed_species=None)
    except (HoundsfieldError, FileNotFoundError):
        return None


def _leading_picture(report: Report) -> Image | None:
    """The image whose number the page shows on its scale, else the first one measured, else the first; without words."""
    shown = [finding.sop_instance_uid for finding, _ in scaled(report)]
    measured = [finding.sop_instance_uid for finding in report.findings if finding.measurements]
    uid = next(iter([*shown, *measured]), None)
    leading = next((item for item in report.evidence if item.answer.ref.sop_instance_uid == uid), report.evidence[0])
    seen = _radiograph(leading)
    return None if seen is None else draw_owner_picture(leading, pixels=seen.pixels, pixel_aspect=seen.pixel_aspect)
