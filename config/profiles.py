"""What the viewers behind a destination show: tried, or read in their sources (OHIF 3.13, Weasis 2026-08, Stone 3.0)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.types import DocumentKind, Language, SrGeometry


class Profile(StrEnum):
    GENERIC = "generic"
    OHIF = "ohif"
    ORTHANC_STONE = "orthanc-stone"
    WEASIS = "weasis"
    IHE_AIR = "ihe-air"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    documents: tuple[DocumentKind, ...]
    sr_geometry: SrGeometry = SrGeometry.MEASURED
    language: Language | None = None  # the node's: every viewer here shows Korean
    comprehensive_3d: bool = False


PROFILES = {
    # The overlay is what every viewer can show, the SR what a machine can read.
    Profile.GENERIC: Preset(documents=(DocumentKind.SR, DocumentKind.SC)),
    # Draws a measurement report and shows neither its conclusion nor its codes: the words come as a report of their own.
    Profile.OHIF: Preset(documents=(DocumentKind.SR, DocumentKind.TEXT_SR, DocumentKind.SC)),
    # Draws regions of TID 1410 only.
    Profile.ORTHANC_STONE: Preset(documents=(DocumentKind.SR, DocumentKind.SC), sr_geometry=SrGeometry.REGION),
    # Prints any SR, and applies presentation states.
    Profile.WEASIS: Preset(documents=(DocumentKind.SR, DocumentKind.SC, DocumentKind.GSPS)),
    # AI Results (AIR): Comprehensive 3D SR with regions, and the set of results as a Key Object Selection. In English, for
    # other makers' programs read it and merge it with their own.
    Profile.IHE_AIR: Preset(
        documents=(DocumentKind.SR, DocumentKind.KOS, DocumentKind.SC),
        sr_geometry=SrGeometry.REGION,
        comprehensive_3d=True,
        language=Language.ENGLISH,
    ),
}
