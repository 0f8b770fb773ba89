"""What the status of a C-STORE response asks of the sender (PS3.4 B.2.3, PS3.7 annex C)."""

from enum import StrEnum


class StatusClass(StrEnum):
    """Every 16-bit status is exactly one of these."""

    SUCCESS = "success"
    WARNING = "warning"  # kept by the peer, perhaps with some attributes coerced
    TEMPORARY = "temporary"  # the same object may be accepted later
    PERMANENT = "permanent"  # the peer will answer the same again


# The peer holds an object of this UID.
DUPLICATE = 0x0111
# The peer holds the object. A duplicate belongs here, because a document's UID follows from its content: it is the answer to
# a retry after a response that was lost. Of a received image that came with two contents, the caller knows better.
_WARNINGS = frozenset({0x0001, 0x0107, DUPLICATE, 0x0116})
# Complaints about the object, the service or the right to use it, which do not change by waiting.
_PERMANENT = frozenset(
    {0x0105, 0x0106, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0211, 0x0212}
)

_MEANINGS = {
    0x0000: "success",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    DUPLICATE: "duplicate SOP Instance",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP Instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xB000: "data elements coerced",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0xFE00: "cancelled",
}


def classify(status: int) -> StatusClass:
    """Unknown failures count as temporary: trying again costs little, giving up loses a result."""
    if status == 0x0000:
        return StatusClass.SUCCESS
    if status in _WARNINGS or status & 0xF000 == 0xB000:
        return StatusClass.WARNING
    if status in _PERMANENT or status & 0xFF00 == 0xA900 or status & 0xF000 == 0xC000:
        return StatusClass.PERMANENT
    return StatusClass.TEMPORARY


def describe(status: int) -> str:
    """The number as a PACS log prints it, and its meaning where it has one."""
    if status & 0xFF00 == 0xA700:
        meaning = "out of resources"
    elif status & 0xFF00 == 0xA900:
        meaning = "data set does not match SOP class"
    elif status & 0xF000 == 0xC000:
        meaning = "cannot understand"
    else:
        meaning = _MEANINGS.get(status, "")
    return f"0x{status:04X}" + (f" ({meaning})" if meaning else "")
