"""C-ECHO, and what a peer accepts: the negotiation alone tells, nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import (
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from delivery.association import NothingAccepted, associate, contexts_for, name_of
from delivery.status import describe
from domain.errors import PeerRefused, PeerUnavailable
from domain.types import DocumentKind, Peer, Style

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_IMAGES = (
    *_UNCOMPRESSED,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
)
# What the node sends, and what verification asks for.
_OFFERED: dict[UID, tuple[UID, ...]] = {
    Verification: _UNCOMPRESSED,
    ComprehensiveSRStorage: _UNCOMPRESSED,
    Comprehensive3DSRStorage: _UNCOMPRESSED,
    EnhancedSRStorage: _UNCOMPRESSED,
    GrayscaleSoftcopyPresentationStateStorage: _UNCOMPRESSED,
    KeyObjectSelectionDocumentStorage: _UNCOMPRESSED,
    EncapsulatedPDFStorage: _UNCOMPRESSED,
    SecondaryCaptureImageStorage: _IMAGES,
    DigitalXRayImageStorageForPresentation: _IMAGES,
    DigitalXRayImageStorageForProcessing: _IMAGES,
    ComputedRadiographyImageStorage: _IMAGES,
    StudyRootQueryRetrieveInformationModelFind: _UNCOMPRESSED,
    StorageCommitmentPushModel: _UNCOMPRESSED,
}
# What each way to verify asks of the peer.
VERIFIED_BY = {
    "find": str(StudyRootQueryRetrieveInformationModelFind),
    "commitment": str(StorageCommitmentPushModel),
}


def sop_class_of(kind: DocumentKind, style: Style) -> str | None:
    """The SOP class that a document of this kind has; None for originals, which may be of any."""
    classes = {
        DocumentKind.SR: Comprehensive3DSRStorage if style.comprehensive_3d else ComprehensiveSRStorage,
        DocumentKind.TEXT_SR: EnhancedSRStorage,
        DocumentKind.SC: SecondaryCaptureImageStorage,
        DocumentKind.GSPS: GrayscaleSoftcopyPresentationStateStorage,
        DocumentKind.KOS: KeyObjectSelectionDocumentStorage,
        DocumentKind.PDF: EncapsulatedPDFStorage,
    }
    return str(classes[kind]) if kind in classes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSyntax:
    uid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """A SOP class, and the encodings in which the peer takes it: none when it does not."""

    sop_class_uid: str
    name: str
    transfer_syntaxes: tuple[TransferSyntax, ...]

    @property
    def accepted(self) -> bool:
        return bool(self.transfer_syntaxes)


def echo(peer: Peer, *, timeout_seconds: float) -> None:
    """C-ECHO; PeerUnavailable or PeerRefused say what is wrong and what to do."""
    try:
        with associate(peer, [build_context(Verification)], timeout_seconds=timeout_seconds) as link:
            answer = link.association.send_c_echo()
    except NothingAccepted as error:
        raise PeerRefused(f"{name_of(peer)} does not offer C-ECHO (Verification)") from error
    status = answer.get("Status")
    if status is None:
        raise PeerUnavailable(f"{name_of(peer)} did not answer the C-ECHO within {timeout_seconds:g} s, or broke it off")
    if status != 0x0000:
        raise PeerRefused(f"{name_of(peer)} failed the C-ECHO with status {describe(status)}", status=status)


def capabilities(peer: Peer, *, timeout_seconds: float) -> list[Capability]:
    """What the peer takes of what the node sends, by one negotiation; errors as for `echo`."""
    contexts = [context for sop_class, syntaxes in _OFFERED.items() for context in contexts_for(sop_class, syntaxes)]
    accepted: dict[str, list[str]] = {}
    try:
        with associate(peer, contexts, timeout_seconds=timeout_seconds) as link:
            accepted = {
                sop_class: [context.transfer_syntax_uid for context in link.accepted(sop_class)] for sop_class in _OFFERED
            }
    except NothingAccepted:
        pass  # an answer: it takes nothing
    return [
        Capability(
            sop_class_uid=str(sop_class),
            name=sop_class.name,
            transfer_syntaxes=tuple(TransferSyntax(uid=uid, name=UID(uid).name) for uid in accepted.get(sop_class, [])),
        )
        for sop_class in _OFFERED
    ]
