"""Settings: every fault is named by its key, and the shipped file says what the code does."""

import importlib.resources
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.faults import examine
from config.settings import Destination, Modality, Model, Notify, Settings, load, look_into, parse
from domain.errors import SettingsInvalid
from domain.types import Language, SrGeometry


def faults(content: dict[str, object]) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        parse(content)
    return caught.value.faults


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"node": {"port": 0}}, r"node\.port: .*greater than or equal to 1"),
        ({"node": {"ae_title": ""}}, r"node\.ae_title: an AE title has 1 to 16 characters"),
        ({"node": {"ae_title": "SEVENTEEN_LETTERS"}}, r"node\.ae_title: an AE title has at most 16"),
        ({"node": {"prot": 104}}, r"node\.prot: there is no such key; did you mean port\?"),
        ({"destination": [{"documnets": ["sr"]}]}, r"destination\[1\]\.documnets: there .*; did you mean documents\?"),
        ({"destination": [{"name": "p", "documents": []}]}, r"documents: name at least one, or leave the key out"),
        ({"modality": [{"name": "a", "ae_title": ""}]}, r'modality\[1\]: ae_title may be "" only together with host'),
        ({"modality": [{"name": "a", "ae_title": "A", "host": "room"}]}, r"modality\[1\]\.host: an address such as"),
        ({"destination": [{"name": "p", "ae_title": "P"}]}, r'destination\[1\]: kind = "dimse" needs host'),
        ({"destination": [{"name": "o", "kind": "orthanc"}]}, r'destination\[1\]: kind = "orthanc" needs url'),
        ({"destination": [{"name": "f", "kind": "folder"}]}, r'destination\[1\]: kind = "folder" needs path'),
        ({"destination": [{"name": "o", "kind": "dicomweb", "url": "pacs"}]}, r"destination\[1\]\.url: an address such as"),
        ({"notify": [{"name": "n", "kind": "mail"}]}, r"notify\[1\]: .*needs host and sender and recipients"),
        ({"node": {"dispatch": "celery"}}, r"node: dispatch = .celery. needs database_url"),
        ({"node": {"broker_url": "redis://x"}}, r"node\.broker_url: empty, or amqp"),
        ({"disk": {"warn_below_megabytes": 1}}, r"disk: warn_below_megabytes must not be below"),
        ({"study": {"quiet_seconds": 9, "max_wait_seconds": 3}}, r"study: max_wait_seconds must not be shorter"),
        ({"destination": {"name": "pacs"}}, r"destination: write it with two brackets, \[\[destination\]\]"),
        ({"node": {"database_url": "mysql://x"}}, r"node\.database_url: empty for SQLite"),
        ({"study": {"quiet_seconds": float("inf")}}, r"study\.quiet_seconds: Input should be a finite number"),
        ({"models": {"trusted_keys": ["x"]}}, r"models\.trusted_keys\[1\]: the line between BEGIN and END"),
        ({"models": {"require_signature": True}}, r"models: require_signature needs trusted_keys"),
        ({"model": [{"name": "a", "runtime": "remote"}]}, r'model\[1\]: runtime = "remote" needs url'),
        ({"model": [{"name": "a", "url": "gpu"}]}, r"model\[1\]\.url: an address such as"),
        ({"model": [{"name": "a"}, {"name": "a"}]}, r"\[\[model\]\] name 'a' is used twice"),
        ({"model": {"name": "a"}}, r"model: write it with two brackets, \[\[model\]\]"),
        ({"study": {"expected_views": {"thorax": []}}}, r"study\.expected_views\.thorax: name at least one"),
    ],
)
def test_a_fault_is_named_by_its_key(content: dict[str, object], said: str) -> None:
    assert any(re.search(said, fault) for fault in faults(content)), faults(content)


def test_all_faults_are_said_at_once() -> None:
    assert len(faults({"node": {"port": 0, "language": "fr"}, "study": {"quiet_seconds": -1}})) == 3


def test_a_fault_repeats_no_password() -> None:
    assert "secret" not in faults({"node": {"database_url": "mysql://node:secret@db/houndsfield"}})[0]


def test_two_destinations_of_one_name_are_refused() -> None:
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.10"}
    assert "used twice" in faults({"destination": [pacs, pacs]})[0]


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    text = importlib.resources.files("config").joinpath("default.toml").read_text(encoding="utf-8")
    assert parse(tomllib.loads(text)) == Settings()
    example = tomllib.loads(re.sub(r"(?m)^# (?=\[\[|[a-z_]+ = )", "", text))
    for section, model in (("modality", Modality), ("destination", Destination), ("notify", Notify), ("model", Model)):
        shown = example[section][0]
        assert set(shown) == set(model.model_fields)
        for key, field in model.model_fields.items():
            default = None if field.is_required() else field.get_default()
            if default not in (None, "", ()):  # what has no default shows an example
                assert shown[key] == (list(default) if isinstance(default, tuple) else default), key
    for section in ("node", "study", "disk", "retention", "models"):
        assert set(example[section]) == set(type(getattr(Settings(), section)).model_fields)


def test_relative_folders_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "clinic.toml"
    file.write_text('[node]\ndata_dir = "data"\n[models]\ndir = "packages"\n', encoding="utf-8")
    settings = load(file)
    assert settings.node.data_dir == tmp_path / "data"
    assert settings.models.dir == str(tmp_path / "packages")


@pytest.mark.parametrize(("content", "said"), [(b"[node", "is not TOML"), (b"\xff\xfe", "is not UTF-8")])
def test_an_unreadable_file_is_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=said):
        load(file)
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_a_profile_decides_what_is_not_said() -> None:
    pacs = {"name": "p", "ae_title": "P", "host": "192.0.2.1"}
    (stone,) = parse({"destination": [pacs | {"profile": "orthanc-stone"}]}).destination
    assert (stone.wanted, stone.style(Language.KOREAN).sr_geometry) == (("sr", "sc"), SrGeometry.REGION)
    (said,) = parse({"destination": [pacs | {"profile": "ihe-air", "documents": ["sc"], "sr_geometry": "both"}]}).destination
    assert (said.wanted, said.style(Language.KOREAN).sr_geometry) == (("sc",), SrGeometry.BOTH)
    assert said.style(Language.KOREAN).comprehensive_3d
    assert said.style(Language.KOREAN).language is Language.ENGLISH  # read by other makers' programs
    (air,) = parse({"destination": [pacs | {"profile": "ihe-air", "language": "ko"}]}).destination
    assert air.style(Language.ENGLISH).language is Language.KOREAN
    (korean, english) = parse({"destination": [pacs, pacs | {"name": "q", "language": "en"}]}).destination
    assert [to.style(Language.KOREAN).language for to in (korean, english)] == [Language.KOREAN, Language.ENGLISH]


@pytest.mark.parametrize("alone", [["kos"], ["kos", "original"]])
def test_a_result_set_of_nothing_is_refused(alone: list[str]) -> None:
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.10"}
    with pytest.raises(SettingsInvalid, match=r'destination\[1\]: documents: "kos" names the other results'):
        parse({"destination": [pacs | {"documents": alone}]})
    assert parse({"destination": [pacs | {"documents": [*alone, "sr"]}]})


def test_no_fault_waits_until_another_is_mended() -> None:
    """Neither of the same block, nor of another, nor of names that are used twice; by the numbers that the file has."""
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.10"}
    said = faults(
        {
            "node": {"port": 0, "dispatch": "celery"},
            "study": {"quiet_seconds": 90, "expected_views": {"thorax": []}},
            "destination": [
                {"name": "a", "kind": "orthanc", "port": 70_000},
                {"kind": "dimse", "conections": 2},
                pacs | {"verify": "finds", "documents": ["sr", "pictures"]},
                pacs,
                {"name": "b", "kind": "folder"},
            ],
            "notify": {"name": "it"},
        }
    )
    wanted = (
        r"node\.port: ",
        r'node: dispatch = "celery" needs',
        r"study\.expected_views\.thorax: name at least one",
        r"study: max_wait_seconds must not be shorter",
        r"destination\[1\]\.port: ",
        r'destination\[1\]: kind = "orthanc" needs url',
        r"destination\[2\]\.name: Field required",
        r"destination\[2\]\.conections: .* did you mean connections",
        r"destination\[3\]\.verify: ",
        r"destination\[3\]\.documents\[2\]: ",
        r'destination\[5\]: kind = "folder" needs path',
        r"\[\[destination\]\] name 'pacs' is used twice",
        r"notify: write it with two brackets",
    )
    for each in wanted:
        assert len([fault for fault in said if re.match(f"(destination: )?{each}", fault)]) == 1, (each, said)
    assert len(said) == len(wanted)


def test_what_is_right_remains_beside_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "clinic.toml"
    file.write_text('[node]\nport = 0\nlanguage = "en"\n[[modality]]\nname = "a"\nae_title = "A"\n[[modality]]\n')
    settings, said = look_into(file)
    assert (settings.node.port, settings.node.language) == (11112, Language.ENGLISH)
    assert [known.name for known in settings.modality] == ["a"]
    assert [fault.split(":")[0] for fault in said] == ["node.port", "modality[2].name", "modality[2].ae_title"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["node", "destination", "model", "name", "port", "kind", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).filter(lambda content: isinstance(content, dict))
)
def test_whatever_is_written_is_a_fault_or_settings(content: dict[str, object]) -> None:
    settings, said = examine(Settings, content)
    assert said or settings == Settings.model_validate(content)
