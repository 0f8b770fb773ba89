"""Deterministic UIDs."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from domain.identity import Identity, digest

PARTS = st.lists(st.text(st.characters(blacklist_characters="/", blacklist_categories=["Cs"])), min_size=1, max_size=4)


@given(PARTS)
def test_a_uid_is_valid_and_follows_from_its_parts(parts: list[str]) -> None:
    uid = Identity().uid(*parts)
    assert uid == Identity().uid(*parts)
    assert len(uid) <= 44
    assert all(part.isdigit() and (part == "0" or part[0] != "0") for part in uid.split("."))


@given(PARTS, PARTS)
def test_other_parts_are_another_uid(one: list[str], other: list[str]) -> None:
    assert (Identity().uid(*one) == Identity().uid(*other)) == (one == other)


def test_every_node_has_its_own_uids() -> None:
    mine, yours = Identity(namespace=uuid.UUID(int=1)), Identity(namespace=uuid.UUID(int=2))
    assert mine.uid("sr") != yours.uid("sr")
    assert mine.lineage("2.25.1", "vhs") != yours.lineage("2.25.1", "vhs")
    assert mine.device_uid != yours.device_uid


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_node_may_have_made_its_own_uids_and_not_those_of_others() -> None:
    assert Identity().may_have_made(Identity().uid("sr", 1))
    assert Identity().may_have_made(Identity(namespace=uuid.uuid4()).uid("sr", 1))
    for other in (
        "1.2.840.10008.1.2",
        f"2.25.{uuid.uuid4().int}",
        f"2.25.{1 << 128}",
        "2.25.",
        "2.25.1.5",
        "2.25.²",
        "",
        "2.25." + "1" * 5000,
    ):
        assert not Identity().may_have_made(other)
