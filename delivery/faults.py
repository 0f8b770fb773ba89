"""What a sender must know beside `PeerUnavailable` and `PeerRefused`: whether an object was on its way, and for how long a
peer asks to be left alone."""

from __future__ import annotations

from domain.errors import PeerUnavailable


class AnswerLost(PeerUnavailable):
    """The peer fell silent or broke while an object was on its way: it may or may not have kept it.

    Told apart from other failures to answer, because an object that makes a peer break would block all others for ever.
    """


class PeerBusy(PeerUnavailable):
    """The peer asks to be called later (HTTP 429 and 503 with Retry-After)."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
