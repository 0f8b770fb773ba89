"""Presentation contexts: every storage SOP class that pynetdicom knows, and the sender's own choice of transfer syntax.

A SOP class it does not know (private, or newer) is refused in the negotiation, where the sender can still tell a person,
rather than stored and never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
    negotiate_as_acceptor,
)

VERIFICATION_SOP_CLASS = "1.2.840.10008.1.1"
COMMITMENT_SOP_CLASS = "1.2.840.10008.1.20.1"
STORAGE_SOP_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

TRANSFER_SYNTAXES = frozenset(
    str(uid)
    for uid in (
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
        JPEG2000Lossless,
        JPEG2000,
        HTJ2KLossless,
        HTJ2KLosslessRPCL,
        HTJ2K,
        RLELossless,
    )
)


def negotiate(
    requested: Iterable[PresentationContext], *, storage: bool, commitment: bool = False
) -> list[PresentationContext]:
    """The answer to each requested context: in each, the first transfer syntax offered that is known here.

    pynetdicom takes the acceptor's order, and one order per SOP class, though a sender may propose a class several times
    with different syntaxes. So each context is negotiated by itself, against a list in the sender's order.
    Verification is offered always.
    """
    classes = {VERIFICATION_SOP_CLASS} | (STORAGE_SOP_CLASSES if storage else set())
    if commitment:
        classes |= {COMMITMENT_SOP_CLASS}
    answers: list[PresentationContext] = []
    for context in requested:
        supported = []
        if str(context.abstract_syntax) in classes:
            offered = [str(uid) for uid in context.transfer_syntax]
            # With nothing in common, any syntax makes pynetdicom answer "transfer syntaxes not supported" (0x04).
            common = [uid for uid in offered if uid in TRANSFER_SYNTAXES] or [str(ImplicitVRLittleEndian)]
            supported = [build_context(str(context.abstract_syntax), common)]
        answer, _ = negotiate_as_acceptor([context], supported)
        answers.extend(answer)
    return answers


def accepted_roles(
    proposed: Mapping[UID, SCP_SCU_RoleSelectionNegotiation], answers: Iterable[PresentationContext]
) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """The answer to role selection (PS3.7 D.3.3.4): either role of storage commitment, for the rest the default.

    An archive that calls to report is the SCP of a service that its caller, by default, uses.
    """
    offered = any(answer.abstract_syntax == COMMITMENT_SOP_CLASS and answer.result == 0x00 for answer in answers)
    return [item for uid, item in proposed.items() if uid == COMMITMENT_SOP_CLASS and offered]
