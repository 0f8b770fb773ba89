"""The page shows every figure of the evaluation to a person, and nobody's name."""

import re

import pytest
from judged_cases import model_of, thorax_cases

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from metalearner.collection import Part
from metalearner.comparison import compare
from metalearner.evaluation import evaluate
from metalearner.evaluation_card import said
from metalearner.evaluation_page import page_of
from metalearner.report_pages import rendered


@pytest.fixture(scope="module")
def shown():
    collection, answers = thorax_cases(60)
    result = evaluate(answers, collection, Part.TEST)
    result["comparison"] = compare(answers, model_of(collection, skill=0.5, seed=4, version="0.9.0"), collection)
    return collection, result, rendered(page_of(result))


def test_every_section_is_there_and_the_figures_are_the_evaluations(shown):
    _, result, page = shown
    headings = re.findall(r"<h2 id=\"part\d+\">(.*?)</h2>", page)
    assert headings == [
        "Against thorax-findings 0.9.0",
        "Findings",
        "ROC curves",
        "Do the probabilities come true?",
        "By severity",
        "Measurements",
        "Landmarks",
        "Where the findings are",
        "Subgroups",
        "How to read this",
    ]
    for one in result["findings"]:
        for name in ("auc", "sensitivity", "specificity", "ppv", "npv", "uncertain", "prevalence"):
            assert said(one[name]) in page
    assert result["comparison"]["verdict"].replace("'", "&#39;") in page
    assert "Not answered: 3 images, the view is ventrodorsal." in page


def test_few_cases_are_gray_and_said_in_words(shown):
    *_, page = shown
    rows = re.findall(r"<tr>\s*<th scope=\"row\" class=\"(.*?)\">(.*?)</th>", page)
    assert ("grey", "Pleural effusion (few cases)") in rows
    assert ("", "Cardiomegaly") in rows


def test_nobody_is_named(shown):
    collection, _, page = shown
    for case in collection.cases:
        for name in (case.patient, case.study, f"{case.image}<", case.file):
            assert name not in page


def test_figures_of_training_patients_are_marked_in_red(shown):
    _, result, page = shown
    assert 'class="banner bad"' not in page
    assert "the figures flatter" not in page
    assert "the figures flatter" in rendered(page_of({**result, "part": "validation"}))
    red = rendered(page_of({**result, "trained_on_these": True}))
    assert re.search(r'class="banner bad" role="note">These are the patients that the model was trained on', red)
