"""What every kind of destination can do, so that its caller need not know the kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from delivery.echo import Capability
from delivery.result import StoreResult
from domain.types import Document

Wanted = Callable[[Document], bool]
Answered = Callable[[Document, StoreResult], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a destination says of itself. says: one sentence. capabilities: by SOP class, where the protocol tells them."""

    says: str
    capabilities: tuple[Capability, ...] = ()


class Sender(Protocol):
    """A destination to write to and to read back from.

    All three raise PeerUnavailable when it does not answer (AnswerLost when an object was on its way, PeerBusy when it says
    how long to wait) and PeerRefused when a person has to mend its settings or ours. What becomes of one object is its
    result and no exception.
    """

    @property
    def read_back_by(self) -> str:
        """By what `found` looks: "C-FIND"."""

    def send(self, documents: Sequence[Document], *, wanted: Wanted, answered: Answered) -> None:
        """Send the documents in this order over one connection.

        `wanted` is asked before each and decides whether it is sent at all; `answered` hears of each at once, so that a
        later failure loses no answer.
        """

    def found(self, documents: Sequence[Document]) -> frozenset[str]:
        """The SOP Instance UIDs among these that are read back as what was sent."""

    def check(self) -> Check:
        """Whether it would take documents, without sending one."""
