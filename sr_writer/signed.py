"""A report that a veterinarian answers for: a new object that names the unsigned one as its predecessor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from domain import terms
from domain.identity import Identity
from domain.types import Document, DocumentKind, Language, Report, Signer, Style
from sr_writer.header import CONTROL
from sr_writer.report import root
from sr_writer.write import finish, read, report_series_uid, structured


def sign_report(
    report: Report,
    *,
    predecessor: Document,
    person: Signer,
    at: datetime,
    identity: Identity,
    style: Style,
    directory: Path,
) -> Document:
    """A verified, final Structured Report in the series of `predecessor`, which stays what it was.

    report: as the person confirmed it. What was corrected carries `Finding.by_person`, and its revision is greater than
    the predecessor's, for OHIF shows the highest Instance Number of a series. at: the signature's time, as wall clock.
    ValueError as in `write_report`, for a predecessor of another study, model or later revision, and for a signer without a
    name or an organization that DICOM can hold, which a verified report must have (PS3.3 C.17.2). OSError as in
    `write_report`, and when the predecessor's file cannot be opened.
    """
    _check(person)
    if predecessor.study_instance_uid != report.study_instance_uid or (
        predecessor.series_instance_uid != report_series_uid(report, identity, style)
    ):
        raise ValueError("the predecessor is not a report of this study and model in this style")
    if report.revision <= _revision(predecessor):
        raise ValueError("a signed report needs a revision above its predecessor's: viewers show the highest of a series")
    report, headers = read(report)
    ds = structured(report, headers, kind=DocumentKind.SR, identity=identity, style=style, previous=predecessor, made_at=at)
    ds.CompletionFlag = "COMPLETE"  # verified only so (PS3.3 C.17.2); that images failed stays in its description and text
    ds.VerificationFlag = "VERIFIED"
    ds.PreliminaryFlag = "FINAL"
    ds.VerifyingObserverSequence = [_observer(person, at)]
    signature = _signature(person, at, style.language)
    tree = root(report, headers, identity=identity, style=style, signer=person, signature=signature)
    return finish(
        ds,
        tree,
        kind=DocumentKind.SR,
        header=headers[0],
        inputs={"report": report, "style": style, "previous": predecessor, "signer": person, "signed_at": at},
        identity=identity,
        directory=directory,
    )


def _check(person: Signer) -> None:
    """Of a person name and a long string (PS3.5 6.2). The sentences say what is wrong without quoting it."""
    if not person.name.strip("^= ") or not person.organization.strip():
        raise ValueError("a signature needs a person's name and an organization")
    if CONTROL.search(person.name + person.organization):
        raise ValueError("a signer's name and organization hold no backslash and no control character")
    groups = person.name.split("=")
    if len(groups) > 3 or any(len(group) > 64 or group.count("^") > 4 for group in groups):
        raise ValueError("a signer's name has at most three spellings, divided by =, each of 64 letters and five parts")
    if len(person.organization) > 64:
        raise ValueError("a signer's organization has at most 64 letters")


def _revision(document: Document) -> int:
    return int(dcmread(document.path, specific_tags=["InstanceNumber"]).InstanceNumber)


def _observer(person: Signer, at: datetime) -> Dataset:
    item = Dataset()
    item.VerifyingObserverName = person.name
    item.VerifyingObserverIdentificationCodeSequence = []
    item.VerifyingOrganization = person.organization
    item.VerificationDateTime = at.strftime("%Y%m%d%H%M%S")
    return item


def _signature(person: Signer, at: datetime, language: Language) -> Sequence[str]:
    """The name's first component group that has one, as it is read aloud: given name last, as Korean names are."""
    group = next(group for group in person.name.split("=") if group.strip("^ "))
    name = " ".join(part.strip() for part in group.split("^") if part.strip())
    said = terms.phrase("signed", language).format(
        name=name, organization=person.organization, at=at.strftime("%Y-%m-%d %H:%M")
    )
    return [f"{terms.phrase('assisted', language)}. {said}."]
