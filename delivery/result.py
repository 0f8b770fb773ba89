"""What became of one object at a destination, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from delivery.part10 import Part10, identify
from delivery.sameness import Sameness
from domain.errors import DataSetUnusable


class StoreState(StrEnum):
    STORED = "STORED"  # the peer says that it keeps the object
    POSTPONED = "POSTPONED"  # it cannot take the object now: try again
    REFUSED = "REFUSED"  # trying again cannot help


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResult:
    """What became of one file.

    status: of DIMSE or HTTP, as the kind of destination has it; None when nothing was sent.
    reason: one plain sentence, "" when stored without any remark; safe to log.
    comment: the peer's own words, such as (0000,0902); hidden from repr, because a peer may name the animal in it.
    sent_as_uid: the transfer syntax that was used, "" when nothing was sent.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    state: StoreState
    status: int | None = None
    reason: str = ""
    comment: str = field(default="", repr=False)
    sent_as_uid: str = ""
    converted: bool = False  # re-encoded for this peer; the pixels are unchanged


def readable(path: Path) -> Part10 | StoreResult:
    """The file, or the answer to one that is no object. OSError when this machine is out of something."""
    try:
        return identify(path)
    except (DataSetUnusable, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        reason = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
        return StoreResult(
            path=path,
            sop_class_uid="",
            sop_instance_uid="",
            state=StoreState.REFUSED,
            reason=f"the file was not sent: {reason}",
        )


def stored(file: Part10, reason: str = "", *, status: int | None = None) -> StoreResult:
    return _result(file, StoreState.STORED, reason, status=status, sent_as_uid=file.transfer_syntax_uid)


def postponed(file: Part10, reason: str, *, status: int | None = None) -> StoreResult:
    return _result(file, StoreState.POSTPONED, reason, status=status)


def refused(file: Part10, reason: str, *, status: int | None = None, comment: str = "") -> StoreResult:
    return _result(file, StoreState.REFUSED, reason, status=status, comment=comment)


def already_there(file: Part10, where: str, same: Sameness | None) -> StoreResult:
    """Not sent: an answer was lost, or somebody else brought it. same: None when it could not be compared."""
    if same is Sameness.OTHER:
        reason = f"{where} holds another object under its SOP Instance UID, which was left there"
        return _result(file, StoreState.REFUSED, reason)
    remark = {
        Sameness.SAME: "",
        Sameness.COERCED: ", under header values or in an encoding of its own",
        None: ", and does not let it be compared",
    }[same]
    return _result(file, StoreState.STORED, f"{where} has it already{remark}")


def _result(
    file: Part10,
    state: StoreState,
    reason: str,
    *,
    status: int | None = None,
    comment: str = "",
    sent_as_uid: str = "",
) -> StoreResult:
    return StoreResult(
        path=file.path,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        state=state,
        status=status,
        reason=reason,
        comment=comment,
        sent_as_uid=sent_as_uid,
    )
