"""What can go wrong, by what the caller can do about it.

HoundsfieldError
├── SettingsInvalid      a person corrects the settings
├── StorageUnavailable   the sender keeps its image and tries again (0xA700)
├── DataSetUnusable      the sender must not try again (0xC000)
├── ImageUnreadable      this image gets a FAILED answer; the others go on
├── ModelInvalid         the package is not loaded; a person replaces it
├── ModelFailed          the run may be tried again
├── PeerUnavailable      the peer did not answer: wait, spend no attempt
├── PeerRefused          the peer answered no: do not try again
└── NotFound             what was named does not exist
"""

from domain.faults import fault as say
from domain.types import Language, Reason


class HoundsfieldError(Exception):
    """Something a person can act on; `str()` is one plain sentence without any animal's or owner's identity."""


class SettingsInvalid(HoundsfieldError):
    """The settings hold faults; each line names the key and what it would accept."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class StorageUnavailable(HoundsfieldError):
    """Spool or ledger cannot take an image now: full disk, unwritable folder, held lock."""


class DataSetUnusable(HoundsfieldError):
    """What was sent is no SOP Instance that can be kept, such as one without a SOP Instance UID."""


class ImageUnreadable(HoundsfieldError):
    """The file holds no pixels that can be shown; the message says why, and `reason` says it in every language.

    fault: a name in `domain.faults.FAULTS`; details fill its blanks.
    """

    def __init__(self, fault: str, **details: str | int) -> None:
        self.fault = fault
        self.details = {name: str(detail) for name, detail in details.items()}
        super().__init__(say(fault, self.details, Language.ENGLISH))

    @property
    def reason(self) -> Reason:
        return Reason(code="unreadable", details={"error": self.fault, **self.details})


class ModelInvalid(HoundsfieldError):
    """A model package does not hold what its manifest promises."""


class ModelFailed(HoundsfieldError):
    """A model broke on an image."""


class PeerUnavailable(HoundsfieldError):
    """No association, a broken one, or no answer in time."""


class PeerRefused(HoundsfieldError):
    """The peer answered with a failure that trying again cannot change."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotFound(HoundsfieldError):
    """A study, task, destination or model of that name is not known here."""
