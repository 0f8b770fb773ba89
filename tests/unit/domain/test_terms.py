"""Everything that can be said is said in both languages, and codes are what the context groups hold."""

import pytest
from pydicom.sr.codedict import codes as dictionary

from domain import codes, terms
from domain.types import FindingOutcome, Language, Outcome, Reason, Region, Species, View


@pytest.mark.parametrize("language", list(Language))
def test_every_word_has_a_term(language: Language) -> None:
    for value in (*Species, *Region, *View):
        assert terms.name(value, language)
    for outcome in (*Outcome, *FindingOutcome):
        assert terms.outcome(outcome, language)


def test_korean_terms_are_korean() -> None:
    for english, korean in (*terms.REASONS.values(), *terms.PHRASES.values(), *terms.CONCEPTS.values()):
        assert english != korean
        assert any("가" <= letter <= "힣" for letter in korean), korean


def test_a_reason_names_the_region_in_the_readers_language() -> None:
    reason = Reason(code="no_model_for_region", details={"region": "limb"})
    assert terms.reason(reason, Language.ENGLISH) == "no model for this region (limb)"
    assert "사지" in terms.reason(reason, Language.KOREAN)


@pytest.mark.parametrize(
    ("group", "used"),
    [("cid7484", codes.VIEWS.values()), ("cid7483", codes.REGIONS.values()), ("cid7454", codes.SPECIES.values())],
)
def test_codes_and_meanings_are_those_of_their_context_group(group: str, used: list[codes.Code]) -> None:
    known = getattr(dictionary, group)
    held = {(item.value, item.scheme_designator, item.meaning) for item in (getattr(known, name) for name in known.dir())}
    for code in used:
        assert (code.value, code.scheme, code.meaning) in held


def test_private_codes_are_listed() -> None:
    private = [value for value in vars(codes).values() if isinstance(value, codes.Code) and value.scheme == "99HNDSFLD"]
    private += [code for code in codes.OUTCOMES.values() if code.scheme == "99HNDSFLD"]
    assert {code.value for code in private} == {code.value for code in codes.PRIVATE}
