"""Small collections for tests: cases without pixels, or with phantoms' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metalearner.collection import Case, Collection, Labels


def case(image: str, patient: str, root: Path, **more: Any) -> Case:
    """A case with an empty file, unless `more` says otherwise."""
    file = more.pop("file", f"images/{image}.dcm")
    if file:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return Case(**{"image": image, "file": file, "patient": patient, "study": f"study-of-{patient}", **more})


def collection_of(
    root: Path, cases: Sequence[Case], classes: Mapping[str, Mapping[str, float]] | None = None, **more: Any
) -> Collection:
    """classes: of one source, by image."""
    labels = tuple(Labels(image=image, source="test", classes=said) for image, said in (classes or {}).items())
    return Collection(
        **{
            "root": root,
            "name": "test",
            "made_at": "2026-11-22T00:00:00+00:00",
            "cases": tuple(cases),
            "labels": labels,
            **more,
        }
    )
