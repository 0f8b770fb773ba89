"""Looking into a Structured Report's content tree."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset


def items(item: Dataset) -> Iterator[Dataset]:
    """The item and all below it, as they are read."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from items(child)


def named(item: Dataset, value: str) -> list[Dataset]:
    """All items whose concept name has this code value."""
    return [i for i in items(item) if "ConceptNameCodeSequence" in i and i.ConceptNameCodeSequence[0].CodeValue == value]


def texts(ds: Dataset) -> str:
    return "\n".join(item.TextValue for item in items(ds) if item.get("ValueType") == "TEXT")
