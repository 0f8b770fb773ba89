"""Everything that can be said is said in both languages, and codes are what the context groups hold."""

import pytest
from pydicom.sr._concepts_dict import concepts as _concepts
from pydicom.sr.codedict import codes as dictionary

from domain import codes, terms
from domain.types import Code, FindingOutcome, Language, Outcome, Reason, Region, Species, View


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


@pytest.mark.parametrize("known", codes.FINDINGS, ids=lambda known: known.english)
def test_a_finding_is_coded_by_what_can_be_looked_up(known: codes.FindingTerm) -> None:
    """Neither a code that was seen in somebody's repository only, nor a meaning that is not the context group's."""
    assert (known.mark == "private") is (known.code.scheme == codes.PRIVATE_SCHEME)
    if known.mark == "CID":
        assert known.code.meaning in _meanings_in_context_groups(known.code)
    if known.site is not None:
        assert known.site.meaning in _meanings_in_context_groups(known.site)
    assert len(known.code.value) <= 16
    assert len(known.code.meaning) <= 64


def _meanings_in_context_groups(code: Code) -> set[str]:
    concepts: dict[str, dict[str, dict[str, tuple[str, list[int]]]]] = _concepts  # type: ignore[assignment]
    known = concepts[code.scheme].values()
    return {meaning for values in known for value, (meaning, groups) in values.items() if value == code.value and groups}


def test_findings_have_a_term_of_their_own() -> None:
    assert len(codes.FINDINGS) == 32
    for language in Language:
        assert len({terms.concept(known.code, language) for known in codes.FINDINGS}) == 32
    assert len({known.code.value for known in codes.FINDINGS}) == 32


@pytest.mark.parametrize(
    ("group", "used"),
    [
        ("cid244", [codes.LEFT, codes.RIGHT, codes.BILATERAL]),
        ("cid3716", [codes.MILD, codes.MODERATE, codes.SEVERE]),
        ("cid7483", [codes.PATELLA, codes.HIP, codes.STIFLE, codes.ESOPHAGUS]),
    ],
)
def test_qualifiers_are_those_of_their_context_group(group: str, used: list[Code]) -> None:
    test_codes_and_meanings_are_those_of_their_context_group(group, used)


def test_a_reason_names_the_region_in_the_readers_language() -> None:
    reason = Reason(code="no_model_for_region", details={"region": "limb"})
    assert terms.reason(reason, Language.ENGLISH) == "no model for this region (limb)"
    assert "사지" in terms.reason(reason, Language.KOREAN)


@pytest.mark.parametrize(
    ("group", "used"),
    [("cid7484", codes.VIEWS.values()), ("cid7483", codes.REGIONS.values()), ("cid7454", codes.SPECIES.values())],
)
def test_codes_and_meanings_are_those_of_their_context_group(group: str, used: list[Code]) -> None:
    known = getattr(dictionary, group)
    held = {(item.value, item.scheme_designator, item.meaning) for item in (getattr(known, name) for name in known.dir())}
    for code in used:
        assert (code.value, code.scheme, code.meaning) in held


def test_private_codes_are_listed() -> None:
    private = [value for value in vars(codes).values() if isinstance(value, Code) and value.scheme == "99HNDSFLD"]
    private += [code for code in codes.OUTCOMES.values() if code.scheme == "99HNDSFLD"]
    private += [known.code for known in codes.FINDINGS if known.code.scheme == "99HNDSFLD"]
    assert {code.value for code in private} == {code.value for code in codes.PRIVATE}
