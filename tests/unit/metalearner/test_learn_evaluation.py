"""An evaluation counts what a person counts, says where it says little, refuses what means nothing, and names nobody."""

import json
from dataclasses import replace

import numpy as np
import pytest
from judged_cases import EFFUSION, HEART, model_of, thorax_cases

from metalearner import evaluation, subgroups
from metalearner.collection import Part
from metalearner.comparison import compare
from metalearner.evaluation import EvaluationRefused, card_table, evaluate
from metalearner.evaluation_card import said
from metalearner.fingerprint import patient_mark


@pytest.fixture(scope="module")
def judged():
    collection, answers = thorax_cases(240)
    return collection, answers, evaluate(answers, collection, Part.TEST)


def of(result, value):
    return next(one for one in result["findings"] if one["concept"] == value)


def test_figures_at_the_operating_points_are_what_a_person_counts(judged):
    collection, answers, result = judged
    p = answers.probabilities[HEART]
    yes = np.array([labels.classes[HEART] == 1 for labels in collection.labels])
    found = of(result, HEART)
    absent, present = p < 0.3, p >= 0.7
    assert found["sensitivity"]["value"] == pytest.approx((yes & present).sum() / yes.sum(), abs=1e-6)
    assert found["specificity"]["value"] == pytest.approx((~yes & ~present).sum() / (~yes).sum(), abs=1e-6)
    assert found["ppv"]["value"] == pytest.approx((yes & present).sum() / present.sum(), abs=1e-6)
    assert found["npv"]["value"] == pytest.approx((~yes & absent).sum() / absent.sum(), abs=1e-6)
    assert found["uncertain"]["value"] == pytest.approx((~absent & ~present).mean(), abs=1e-6)
    assert found["missed"]["value"] == pytest.approx((yes & absent).sum() / yes.sum(), abs=1e-6)
    assert found["prevalence"]["value"] == pytest.approx(yes.mean(), abs=1e-6)
    assert sum(found["confusion"]["with"].values()) == found["with"] == yes.sum()
    assert sum(found["confusion"]["without"].values()) == found["without"]
    assert found["confusion"]["with"]["ABSENT"] == (yes & absent).sum()
    for name in ("auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "uncertain", "prevalence"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["roc"][0] == [0.0, 0.0]
    assert found["roc"][-1] == [1.0, 1.0]


def test_an_image_whose_label_is_unknown_or_that_got_no_answer_does_not_count(judged):
    collection, answers, _ = judged
    labels = (replace(collection.labels[0], classes={EFFUSION: 1.0}, boxes=()), *collection.labels[1:])
    silent = answers.probabilities[HEART].copy()
    silent[1] = np.nan
    probabilities = {**answers.probabilities, HEART: silent}
    result = evaluate(replace(answers, probabilities=probabilities), replace(collection, labels=labels), Part.TEST)
    assert of(result, HEART)["images"] == 238
    assert of(result, EFFUSION)["images"] == 240


def test_calibration_before_and_after_and_what_could_be_reached(judged):
    *_, result = judged
    before, filed, *fitted = of(result, HEART)["calibration"]
    assert (before["name"], filed["name"]) == ("before scaling", "Platt scaling in the package")
    assert before["ece"]["value"] > filed["ece"]["value"]
    assert [one["fitted_to_these_cases"] for one in (before, filed, *fitted)] == [False, False, True, True]
    assert sum(at["images"] for at in filed["curve"]) == 240


def test_mild_cases_are_judged_against_those_without_the_finding(judged):
    *_, result = judged
    grades = of(result, HEART)["grades"]
    assert [one["grade"] for one in grades] == ["mild", "moderate", "severe"]
    assert sum(one["with"] for one in grades) == of(result, HEART)["with"]
    assert all(one["auc"]["value"] > 0.7 for one in grades)


def test_subgroups_hold_every_image_once_and_say_where_there_are_few(judged):
    *_, result = judged
    by = {key: [one for one in result["subgroups"] if one["by"] == key] for key in subgroups.KEYS}
    assert {one["group"] for one in by["breed group"]} == {
        "toy or small dog",
        "medium or large dog",
        "short-skulled dog",
        "unknown",
    }
    for groups in by.values():
        assert sum(one["images"] for one in groups) == 240
    findings = [finding for one in by["breed group"] for finding in one["findings"]]
    assert {one["few_cases"] for one in findings} == {True, False}
    assert all(one["few_cases"] is (one["with"] < 10) for one in findings)  # none has fewer than 30 images
    assert all(one["points"]["unit"] == "mm" for one in result["subgroups"])
    assert all(one["points"]["mean"]["value"] == pytest.approx(1.25, abs=0.1) for one in result["subgroups"])
    assert all(one["measures"][0]["bias"]["value"] == pytest.approx(0.2, abs=0.2) for one in result["subgroups"])


@pytest.mark.parametrize(
    ("images", "with_it", "without", "few"),
    [(30, 10, 20, False), (29, 10, 19, True), (100, 9, 91, True), (100, 95, 5, True)],
)
def test_few_is_fewer_than_thirty_or_ten_of_either_kind(images, with_it, without, few):
    assert subgroups.is_few(images, with_it, without) is few


@pytest.mark.parametrize(
    ("breed", "group"),
    [
        ("Shih-Tzu", "short-skulled dog"),
        ("31077009", "short-skulled dog"),  # its SNOMED code
        ("말티즈", "toy or small dog"),
        ("German Shepherd Dog", "deep-chested dog"),
        ("Domestic short hair", "other cat"),
        ("Pug mix", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_breed_that_is_not_listed_stays_unknown(breed, group):
    assert subgroups.breed_group(breed) == group


def test_every_listed_breed_survives_de_identification():
    """What is grouped here must have been kept there; and no breed is in two groups."""
    pytest.importorskip("dicomanonymizer")
    from metalearner.deidentify import known_breed

    names = [name for names in subgroups.BREED_GROUPS.values() for name in names]
    assert len(set(names)) == len(names)
    lost = [name for name in names if subgroups.breed_group(known_breed(name)) != subgroups.breed_group(name)]
    assert lost == []


def test_measures_and_points_and_regions_are_judged_too(judged):
    *_, result = judged
    (vhs,) = result["measures"]
    assert (vhs["measure"], vhs["unit"], vhs["images"]) == ("VHS", "vertebrae", 240)
    assert vhs["agreement"]["bias"]["low"] < 0.2 < vhs["agreement"]["bias"]["high"]
    overall, *each = result["points"]
    assert {one["point"] for one in each} == {"carina", "apex", "T4", "T5", "T6"}
    assert overall["column_pixels"]["bias"]["value"] == pytest.approx(3, abs=0.1)
    assert overall["mm"]["mean"]["value"] == pytest.approx(overall["pixels"]["mean"]["value"] * 0.4, rel=1e-3)
    (effusion,) = result["regions"]
    assert effusion["dice"]["value"] == pytest.approx(0.9, abs=0.01)


def test_a_landmark_beside_the_film_is_not_counted(judged):
    collection, answers, _ = judged
    beside = replace(collection.labels[0], points={**collection.labels[0].points, "apex": (140.0, -1.0)})
    result = evaluate(answers, replace(collection, labels=(beside, *collection.labels[1:])), Part.TEST)
    assert {one["point"]: one["n"] for one in result["points"]} | {"": 0} == {
        "": 0,
        "carina": 240,
        "apex": 239,
        "T4": 240,
        "T5": 240,
        "T6": 240,
    }


def test_the_same_seed_gives_the_same_figures(judged):
    collection, answers, result = judged
    assert evaluate(answers, collection, Part.TEST) == result
    assert evaluate(answers, collection, Part.TEST, seed=1)["mean_auc"]["low"] != result["mean_auc"]["low"]


def test_the_card_says_on_whom_it_was_measured_and_how_sure(judged):
    *_, result = judged
    card = card_table(result)
    assert card.startswith("240 images of 120 patients (unseen), collection judged, part test")
    assert "| Cardiomegaly |" in card
    assert f"| {said(of(result, HEART)['auc'])} |" in card
    assert "| VHS (vertebrae) | 240 |" in card
    assert "no figure of what it can do" in card_table({**result, "part": "train"})
    assert "which flatters" in card_table({**result, "part": "validation"})
    widths = [line.count("|") for line in card.splitlines() if line.startswith("|")]
    assert len(set(widths[: 2 + len(result["findings"])])) == 1


def test_the_json_names_nobody(judged):
    collection, _, result = judged
    text = json.dumps(result, allow_nan=False) + card_table(result)
    for case in collection.cases:
        for name in (case.patient, case.study, f'"{case.image}"', case.file):
            assert name not in text


def test_no_label_no_figure(judged):
    collection, answers, _ = judged
    bare = replace(collection, labels=())
    with pytest.raises(EvaluationRefused, match="no label"):
        evaluate(answers, bare, Part.TEST)


def of_package(monkeypatch, answers):
    monkeypatch.setattr(evaluation.model_answers, "from_package", lambda *_, **__: answers)


def test_patients_that_a_model_was_trained_on_are_refused_unless_they_are_asked_for(judged, monkeypatch, tmp_path):
    collection, answers, _ = judged
    rex = collection.cases[0].patient
    of_package(monkeypatch, replace(answers, trained_on=frozenset({patient_mark(rex)})))
    with pytest.raises(EvaluationRefused, match="trained on 1 of the 120 patients") as refused:
        evaluation.answers_of(tmp_path, collection, Part.TEST)
    assert "--part train" in str(refused.value)
    assert rex not in str(refused.value)
    learnt = replace(collection, split=dict.fromkeys(collection.split, Part.TRAIN))
    evaluation.answers_of(tmp_path, learnt, Part.TRAIN)
    with pytest.raises(EvaluationRefused, match="no image in the part test"):
        evaluation.answers_of(tmp_path, learnt, Part.TEST)
    assert evaluate(answers, learnt, Part.TRAIN)["trained_on_these"] is True


def test_a_model_that_answers_nothing_is_no_model_with_figures(judged, monkeypatch, tmp_path):
    collection, answers, _ = judged
    of_package(monkeypatch, replace(answers.among([]), declined={"the species is cat": 240}))
    with pytest.raises(EvaluationRefused, match="the species is cat"):
        evaluation.answers_of(tmp_path, collection, Part.TEST)


def test_a_better_model_is_called_better_and_a_worse_one_worse(judged):
    collection, answers, _ = judged
    worse = model_of(collection, skill=0.3, seed=9)
    up, down = compare(answers, worse, collection), compare(worse, answers, collection)
    assert [one["verdict"] for one in up["findings"]] == ["better", "better"]
    assert [one["verdict"] for one in down["findings"]] == ["worse", "worse"]
    assert up["findings"][0]["test"]["by"] == "DeLong"
    assert up["findings"][0]["sensitivity"]["by"] == "paired bootstrap"
    assert up["verdict"].startswith("Better on these 240 images: Cardiomegaly")
    json.dumps(up, allow_nan=False)


def test_the_same_skill_is_never_called_equal(judged):
    collection, answers, _ = judged
    same = compare(model_of(collection, skill=1.0, seed=77), answers, collection)
    assert {one["verdict"] for one in same["findings"]} == {"no difference shown"}
    assert "no proof that there is none" in same["verdict"]
    assert "equal" not in same["verdict"]


def test_too_few_cases_give_no_verdict_however_large_the_difference():
    collection, answers = thorax_cases(24, skill=3.0)
    found = compare(answers, model_of(collection, skill=-3.0, seed=3), collection)
    assert {one["verdict"] for one in (*found["findings"], *found["numbers"])} == {"too few cases"}


def test_only_what_both_answered_is_compared(judged):
    collection, answers, _ = judged
    half = model_of(collection, skill=0.8, seed=5).among(answers.images[:120][::-1])
    found = compare(answers, half, collection)
    assert (found["images"], found["only_this"], found["only_other"]) == (120, 120, 0)
    own = compare(answers, answers.among(answers.images[::-1]), collection)  # the order does not matter
    assert [one["test"]["difference"]["value"] for one in (*own["findings"], *own["numbers"])] == [0.0] * 4
    with pytest.raises(EvaluationRefused, match="no image in common"):
        compare(answers, answers.among([]), collection)
