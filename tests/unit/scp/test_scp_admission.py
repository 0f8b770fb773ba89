"""Who is let in, and what IT staff read of the others."""

from __future__ import annotations

import pytest

from config.settings import Destination, Modality, Node
from scp.admission import (
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    Admission,
    Admitted,
    Caller,
    Rejected,
)

NODE = Node(ae_title="HOUNDSFIELD")
ROOM_1 = Modality(name="dr-room-1", ae_title="DRROOM1", host="192.0.2.21")
ROOM_2 = Modality(name="dr-room-2", ae_title="DRROOM2")
BLANK = Modality(name="old-console", ae_title="", host="192.0.2.64/28")
OTHER_TITLE = Modality(name="ct", ae_title="CT", called_ae="HOUNDS_CT")
ALL = (ROOM_1, ROOM_2, BLANK, OTHER_TITLE)


def decide(
    calling: str, host: str, called: str = "HOUNDSFIELD", modalities: tuple[Modality, ...] = ALL
) -> Admitted | Rejected:
    caller = Caller(calling_ae=calling, called_ae=called, peer_host=host, local_host="192.0.2.5")
    return Admission(node=NODE, modalities=modalities).decide(caller)


@pytest.mark.parametrize(
    ("calling", "host", "called", "modality"),
    [
        ("DRROOM1", "192.0.2.21", "HOUNDSFIELD", "dr-room-1"),
        ("DRROOM1", "::ffff:192.0.2.21", "HOUNDSFIELD", "dr-room-1"),
        ("DRROOM2", "203.0.113.9", "HOUNDSFIELD", "dr-room-2"),
        ("DRROOM2", "fe80::1%eth0", "HOUNDSFIELD", "dr-room-2"),
        ("", "192.0.2.70", "HOUNDSFIELD", "old-console"),
        ("CT", "192.0.2.30", "HOUNDS_CT", "ct"),
    ],
)
def test_known_senders_are_admitted(calling: str, host: str, called: str, modality: str) -> None:
    assert decide(calling, host, called) == Admitted(modality=modality)


@pytest.mark.parametrize(
    ("calling", "host", "called", "rejection", "reason"),
    [
        ("DRROOM9", "192.0.2.30", "HOUNDSFIELD", CALLING_AE_NOT_RECOGNISED,
         "DRROOM9 at 192.0.2.30 called; no [[modality]] has this AE title"),
        ("DRROOM1", "192.0.2.30", "HOUNDSFIELD", CALLING_AE_NOT_RECOGNISED,
         "DRROOM1 at 192.0.2.30 called; the [[modality]] with this AE title has host 192.0.2.21"),
        ("drroom2", "192.0.2.30", "HOUNDSFIELD", CALLING_AE_NOT_RECOGNISED,
         "drroom2 at 192.0.2.30 called; a [[modality]] has DRROOM2, and AE titles distinguish capitals"),
        ("", "192.0.2.30", "HOUNDSFIELD", CALLING_AE_NOT_RECOGNISED,
         "A caller with a blank AE title at 192.0.2.30 called; the [[modality]] with this AE title has host 192.0.2.64/28"),
        ("DRROOM2", "192.0.2.30", "PACS", CALLED_AE_NOT_RECOGNISED,
         "DRROOM2 at 192.0.2.30 called PACS; this node answers it as HOUNDSFIELD"),
        ("DRROOM2", "192.0.2.30", "", CALLED_AE_NOT_RECOGNISED,
         "DRROOM2 at 192.0.2.30 called a blank AE title; this node answers it as HOUNDSFIELD"),
        ("CT", "192.0.2.30", "HOUNDSFIELD", CALLED_AE_NOT_RECOGNISED,
         "CT at 192.0.2.30 called HOUNDSFIELD; this node answers it as HOUNDS_CT"),
    ],
)  # fmt: skip
def test_others_are_rejected_with_what_to_do(
    calling: str, host: str, called: str, rejection: tuple[int, int, int], reason: str
) -> None:
    assert decide(calling, host, called) == Rejected(rejection=rejection, reason=reason)


def test_a_modality_with_two_titles_is_admitted_under_either() -> None:
    both = (ROOM_2, Modality(name="dr-room-2b", ae_title="DRROOM2", called_ae="SECOND"))
    assert decide("DRROOM2", "192.0.2.30", "SECOND", both) == Admitted(modality="dr-room-2b")
    assert decide("DRROOM2", "192.0.2.30", "HOUNDSFIELD", both) == Admitted(modality="dr-room-2")


def test_without_modalities_everybody_is_refused() -> None:
    assert isinstance(decide("DRROOM1", "192.0.2.21", modalities=()), Rejected)
    assert isinstance(decide("DRROOM1", "127.0.0.1", modalities=()), Rejected)
    blank = decide("", "127.0.0.1", modalities=())
    assert isinstance(blank, Rejected)
    assert 'no [[modality]] has ae_title = ""' in blank.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.5"])
def test_the_node_may_verify_itself(host: str) -> None:
    assert decide("HOUNDSFIELD", host, modalities=()) == Admitted(modality=None)


def test_nobody_else_is_the_node() -> None:
    assert isinstance(decide("HOUNDSFIELD", "192.0.2.30", modalities=()), Rejected)
    assert isinstance(decide("HOUNDSFIELD", "127.0.0.1", "PACS", modalities=()), Rejected)


PACS = Destination(name="clinic-pacs", ae_title="PACS", host="192.0.2.10", verify="commitment")
NAMED = Destination(name="named", ae_title="NAMED", host="localhost", verify="commitment")
FOUND = Destination(name="found", ae_title="FOUND", host="192.0.2.11")


def decide_with_destinations(calling: str, host: str, **more: str) -> Admitted | Rejected:
    both = Modality(name="archive", ae_title="PACS", host="192.0.2.0/24")
    modalities = ALL + ((both,) if more.pop("also", "") else ())
    caller = Caller(calling_ae=calling, called_ae=more.get("called", "HOUNDSFIELD"), peer_host=host, local_host="192.0.2.5")
    return Admission(node=NODE, modalities=modalities, destinations=[PACS, NAMED, FOUND]).decide(caller)


def test_a_destination_that_reports_is_let_in_for_that() -> None:
    assert decide_with_destinations("PACS", "192.0.2.10") == Admitted(modality=None, destination="clinic-pacs")
    assert decide_with_destinations("NAMED", "127.0.0.1") == Admitted(modality=None, destination="named")
    assert decide_with_destinations("PACS", "192.0.2.10", also="x") == Admitted(
        modality="archive", destination="clinic-pacs"
    )
    assert decide_with_destinations("PACS", "192.0.2.99", also="x") == Admitted(modality="archive")


@pytest.mark.parametrize(
    ("calling", "host", "called"),
    [("PACS", "192.0.2.11", "HOUNDSFIELD"), ("PACS", "192.0.2.10", "OTHER"), ("FOUND", "192.0.2.11", "HOUNDSFIELD")],
)
def test_other_destinations_are_not(calling: str, host: str, called: str) -> None:
    assert isinstance(decide_with_destinations(calling, host, called=called), Rejected)


def test_a_destination_that_calls_from_elsewhere_is_named() -> None:
    decision = decide_with_destinations("PACS", "192.0.2.11")
    assert isinstance(decision, Rejected)
    assert decision.reason == "PACS at 192.0.2.11 called; [[destination]] clinic-pacs has host 192.0.2.10"


@pytest.mark.parametrize(
    ("calling", "admitted"), [("DRROOM1", "dr-room-1"), ("DRROOM2", "dr-room-2"), ("", None), ("NO", None)]
)
def test_behind_a_silent_proxy_the_title_alone_decides_and_a_blank_one_does_not(calling: str, admitted: str | None) -> None:
    caller = Caller(calling_ae=calling, called_ae="HOUNDSFIELD", peer_host="198.51.100.9", hidden=True)
    decision = Admission(node=NODE, modalities=ALL).decide(caller)
    if admitted:
        assert decision == Admitted(modality=admitted)
    else:
        assert isinstance(decision, Rejected)
        assert "behind the proxy 198.51.100.9" in decision.reason
