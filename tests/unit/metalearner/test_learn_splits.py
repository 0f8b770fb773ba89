"""Nobody learns from whom they examine, and a split stays as it was drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from collections_made import case, collection_of
from hypothesis import given
from hypothesis import strategies as st

from metalearner.collection import Collection, Part
from metalearner.splits import SHARES, Leak, draw, leaks


def many(root: Path, patients: int, images: int = 2, **more: str) -> Collection:
    """Every tenth patient has the finding."""
    cases = [
        case(f"{one:03d}.{image}", f"{one:016x}", root, **more) for one in range(patients) for image in range(1, images + 1)
    ]
    classes = {one.image: {"RARE": float(int(one.patient, 16) % 10 == 0)} for one in cases}
    return collection_of(root, cases, classes)


def test_all_images_of_a_patient_are_in_one_part_and_the_shares_are_kept(tmp_path: Path) -> None:
    drawn = draw(many(tmp_path, 100), seed=0)
    counts = Counter(drawn.split.values())
    assert all(abs(counts[part] - 100 * share) <= 2 for part, share in SHARES.items())
    assert len(drawn.parts()) == 200
    assert leaks(drawn) == ()


def test_a_rare_finding_is_found_in_every_part(tmp_path: Path) -> None:
    for seed in range(5):
        drawn = draw(many(tmp_path, 60), seed=seed)
        having = [part for image, part in drawn.parts().items() if drawn.truth(image).classes["RARE"]]
        assert Counter(having) == {Part.TRAIN: 8, Part.VALIDATION: 2, Part.TEST: 2}  # images of 4, 1 and 1 patients


def test_of_three_patients_with_a_finding_each_part_gets_one(tmp_path: Path) -> None:
    for seed in range(5):
        drawn = draw(many(tmp_path, 30), seed=seed)
        having = {patient: part for patient, part in drawn.split.items() if int(patient, 16) % 10 == 0}
        assert sorted(having.values()) == sorted(Part)


def test_the_same_seed_draws_the_same_and_another_another(tmp_path: Path) -> None:
    collection = many(tmp_path, 50)
    assert draw(collection, seed=1).split == draw(collection, seed=1).split
    assert draw(collection, seed=1).split != draw(collection, seed=2).split


def test_new_patients_are_added_and_the_old_ones_stay(tmp_path: Path) -> None:
    before = draw(many(tmp_path, 30), seed=1)
    grown = replace(many(tmp_path, 60), split=before.split, split_by=before.split_by)
    after = draw(grown, seed=2)
    assert {patient: after.split[patient] for patient in before.split} == before.split
    assert len(after.split) == 60
    assert Counter(after.split.values())[Part.TRAIN] == 42
    assert draw(grown, seed=2, redraw=True).split != after.split


def test_one_animal_under_two_identifiers_is_refused(tmp_path: Path) -> None:
    cases = [case("1", "aaaa", tmp_path, study="9.1"), case("2", "bbbb", tmp_path, study="9.1")]
    with pytest.raises(Leak, match=r"study 9\.1 belongs to 2 patients \(aaaa, bbbb\)"):
        draw(collection_of(tmp_path, cases), seed=0)


def test_clinics_stay_whole_where_enough_are_known(tmp_path: Path) -> None:
    cases = [case(f"{one}", f"{one:04d}", tmp_path, clinic=f"clinic-{one % 8}") for one in range(80)]
    drawn = draw(collection_of(tmp_path, cases), seed=0)
    assert drawn.split_by == "clinic"
    parts = {}
    for one in cases:
        assert parts.setdefault(one.clinic, drawn.split[one.patient]) is drawn.split[one.patient]
    assert set(parts.values()) == set(Part)
    new = (*cases, case("new", "new-patient", tmp_path, clinic="clinic-3"))
    assert draw(replace(drawn, cases=new), seed=5).split["new-patient"] is parts["clinic-3"]
    torn = replace(drawn, split={**drawn.split, "0003": next(part for part in Part if part is not parts["clinic-3"])})
    assert "clinic-3 is in" in leaks(torn)[0]
    with pytest.raises(Leak, match="draw anew with --redraw"):
        draw(torn, seed=0)
    with pytest.raises(ValueError, match="only --redraw"):
        draw(drawn, seed=0, by="patient")


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=40), st.integers(0, 5))
def test_whatever_the_patients_each_gets_one_part(drawn: list[tuple[int, int]], seed: int) -> None:
    root = Path("/nowhere")
    cases = [
        replace(_CASE, image=str(number), patient=f"p{patient}", study=f"s{patient}", clinic=f"c{clinic}")
        for number, (patient, clinic) in enumerate(drawn)
    ]
    for by in ("patient", "clinic"):
        split = draw(collection_of(root, cases), seed=seed, by=by)
        assert set(split.split) == {one.patient for one in cases}
        assert leaks(split) == ()


_CASE = collection_of(Path(), [case("1", "a", Path(), file="", declined="")]).cases[0]
