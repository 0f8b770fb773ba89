"""Who may send: decided from the called AE title, the calling AE title and the address, before any image is taken.

With no [[modality]] listed every caller is refused. One caller is always let in, for Verification only: the node itself,
calling from its own machine with its own AE title. That is how `status` proves that the listener answers, on a node that has
no modality yet as on one whose slots are all taken; it can store nothing, so it opens no door for images.

A destination that verifies by storage commitment is let in as well, for its report and for Verification only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from config.settings import Destination, Modality, Node
from scp.address import address_of, is_address_of

# PS3.8 9.3.4: (result, source, reason)
Rejection = tuple[int, int, int]
CALLING_AE_NOT_RECOGNISED: Rejection = (0x01, 0x01, 0x03)
CALLED_AE_NOT_RECOGNISED: Rejection = (0x01, 0x01, 0x07)
LOCAL_LIMIT_EXCEEDED: Rejection = (0x02, 0x03, 0x02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Titles are normalised (`scp.titles`), "" for a blank one. local_host: the address of ours that was called.

    hidden: a trusted proxy passes the caller on and does not say where it calls from; peer_host is the proxy's.
    """

    calling_ae: str
    called_ae: str
    peer_host: str
    local_host: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCaller:
    """A rejected association. `reason` is one sentence that IT staff can act on.

    unknown: nothing in the settings lets this caller in; False for a known sender that came when every slot was taken.
    """

    calling_ae: str
    called_ae: str
    peer_host: str
    reason: str
    unknown: bool


Refused = Callable[[RefusedCaller], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The settings' names of the sender that may store and of the destination that may report; neither: may only verify."""

    modality: str | None
    destination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    rejection: Rejection
    reason: str


class Admission:
    """The rules, made once from the settings."""

    def __init__(self, *, node: Node, modalities: Sequence[Modality], destinations: Sequence[Destination] = ()) -> None:
        self._node = node
        self._destinations = [to for to in destinations if to.verify == "commitment"]
        self._modalities = tuple(modalities)
        self._networks = {
            modality.name: ipaddress.ip_network(modality.host, strict=False)
            for modality in modalities
            if modality.host is not None
        }

    def decide(self, caller: Caller) -> Admitted | Rejected:
        titled = [modality for modality in self._modalities if modality.ae_title == caller.calling_ae]
        placed = [modality for modality in titled if self._comes_from(modality, caller)]
        destination = self._destination(caller)
        for modality in placed:
            if caller.called_ae == self._called(modality):
                return Admitted(modality=modality.name, destination=destination)
        if destination is not None:
            return Admitted(modality=None, destination=destination)
        if self._is_self(caller):
            return Admitted(modality=None)
        if placed:
            expected = " or ".join(sorted({self._called(modality) for modality in placed}))
            return Rejected(
                rejection=CALLED_AE_NOT_RECOGNISED,
                reason=f"{_who(caller)} called {caller.called_ae or 'a blank AE title'}; this node answers it as {expected}",
            )
        return Rejected(rejection=CALLING_AE_NOT_RECOGNISED, reason=self._why_unknown(caller, titled))

    def _why_unknown(self, caller: Caller, titled: list[Modality]) -> str:
        if titled:
            hosts = " or ".join(sorted({modality.host or "" for modality in titled}))
            return f"{_who(caller)} called; the [[modality]] with this AE title has host {hosts}"
        elsewhere = [to for to in self._destinations if to.ae_title == caller.calling_ae]
        if elsewhere:
            return f"{_who(caller)} called; [[destination]] {elsewhere[0].name} has host {elsewhere[0].host}"
        alike = sorted({m.ae_title for m in self._modalities if m.ae_title.upper() == caller.calling_ae.upper()})
        if alike:
            return f"{_who(caller)} called; a [[modality]] has {alike[0]}, and AE titles distinguish capitals"
        if not caller.calling_ae:
            return f'{_who(caller)} called; no [[modality]] has ae_title = "" with this host'
        return f"{_who(caller)} called; no [[modality]] has this AE title"

    def _called(self, modality: Modality) -> str:
        return modality.called_ae or self._node.ae_title

    def _comes_from(self, modality: Modality, caller: Caller) -> bool:
        network = self._networks.get(modality.name)
        if caller.hidden:
            return bool(modality.ae_title)  # a blank title alone would let everybody in
        return network is None or address_of(caller.peer_host) in network

    def _destination(self, caller: Caller) -> str | None:
        if caller.called_ae != self._node.ae_title:
            return None
        for to in self._destinations:
            if to.ae_title == caller.calling_ae and (caller.hidden or is_address_of(to.host, address_of(caller.peer_host))):
                return to.name
        return None

    def _is_self(self, caller: Caller) -> bool:
        if caller.calling_ae != self._node.ae_title or caller.called_ae != self._node.ae_title:
            return False
        address = address_of(caller.peer_host)
        return address.is_loopback or bool(caller.local_host and address == address_of(caller.local_host))


def _who(caller: Caller) -> str:
    by = "an unknown address behind the proxy " if caller.hidden else ""
    return f"{caller.calling_ae or 'A caller with a blank AE title'} at {by}{caller.peer_host}"
