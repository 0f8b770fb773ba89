"""The commands as a person or a script meets them: exit statuses, one-sentence errors, and the JSON contract."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from commandline import Houndsfield, one_sentence
from factories import dx_file, gradient
from nodes import write_settings
from odd_peers import scp
from peers import Archive, free_port, qrscp
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from config.settings import load
from domain.types import DeliveryState, Document, DocumentKind, InstanceRef
from ledger import documents, peers, tasks
from ledger.store import Ledger


def an_original(path: Path) -> Document:
    return Document(
        kind=DocumentKind.ORIGINAL,
        ref=InstanceRef(sop_class_uid="1.2", sop_instance_uid="2.25.1"),
        study_instance_uid="2.25.2",
        series_instance_uid="2.25.3",
        path=path,
        sha256="0" * 64,
    )


def test_config_init_writes_a_file_that_config_check_accepts(houndsfield: Houndsfield, tmp_path: Path) -> None:
    assert houndsfield("config", "init").status == 0
    checked = houndsfield("config", "check")
    assert checked.status == 0
    assert "no [[modality]] is listed: every caller will be refused" in checked.out
    again = houndsfield("config", "init")
    assert one_sentence(again)
    assert "left as it is" in again.err


def test_config_check_names_every_fault(houndsfield: Houndsfield, tmp_path: Path) -> None:
    (tmp_path / "houndsfield.toml").write_text('[node]\nport = 0\nlanguage = "fr"\n')
    checked = houndsfield("config", "check", "--json")
    assert checked.status == 1
    assert [fault.split(":")[0] for fault in checked.json["faults"]] == ["node.port", "node.language"]


def test_missing_settings_are_one_sentence(houndsfield: Houndsfield) -> None:
    for command in (("status",), ("tasks", "list"), ("echo",), ("serve",)):
        done = houndsfield(*command)
        assert one_sentence(done), done
        assert "houndsfield config init" in done.err


def test_analyse_answers_every_path(houndsfield: Houndsfield, tmp_path: Path) -> None:
    stifle = {"BodyPartExamined": "STIFLE", "AnatomicRegionSequence": None}
    image = dx_file(tmp_path / "in" / "a.dcm", pixels=gradient(400, 500), **stifle)
    text = tmp_path / "in" / "notes.txt"
    text.write_text("no image")
    done = houndsfield("analyse", tmp_path / "in", "--out", tmp_path / "out", "--json")
    assert done.status == 0
    (study,) = done.json["studies"]
    assert study["outcome"] == "DECLINED"
    assert "no model" in study["reason"]
    assert [item["path"] for item in study["images"]] == [str(image)]
    assert sorted(item["kind"] for item in study["documents"]) == ["sc", "sr"]
    assert all(Path(item["path"]).exists() for item in study["documents"])
    for item in study["documents"]:  # readable, and apart from each other
        assert Path(item["path"]).name == f"{item['kind']}-{item['sop_instance_uid'][-16:]}.dcm"
    assert len(list((tmp_path / "out").iterdir())) == 2
    (rejected,) = done.json["rejected"]
    assert rejected["path"] == str(text)
    assert "not a DICOM file" in rejected["reason"]


def test_analyse_makes_the_same_bytes_twice_wherever_the_file_lies(houndsfield: Houndsfield, tmp_path: Path) -> None:
    made = []
    for name in ("here", "there"):
        dx_file(tmp_path / name / "a.dcm")
        done = houndsfield("analyse", tmp_path / name, "--out", tmp_path / f"out-{name}", "--json")
        assert done.status == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / f"out-{name}").iterdir()})
    assert len(made[0]) == 2
    assert made[0] == made[1]


def test_send_behaves_like_a_modality(houndsfield: Houndsfield, tmp_path: Path) -> None:
    dx_file(tmp_path / "in" / "a.dcm")
    with qrscp(tmp_path / "pacs") as pacs:
        done = houndsfield("send", tmp_path / "in", "--to", f"PACS@127.0.0.1:{pacs.port}", "--json")
        assert done.status == 0, done
        assert [item["state"] for item in done.json["objects"]] == ["STORED"]
    gone = houndsfield("send", tmp_path / "in", "--to", f"PACS@127.0.0.1:{pacs.port}")
    assert one_sentence(gone)
    wrong = houndsfield("send", tmp_path / "in", "--to", "PACS")
    assert one_sentence(wrong)
    assert "AE@HOST:PORT" in wrong.err


def test_echo_tells_what_a_pacs_accepts_and_fails_when_one_is_down(houndsfield: Houndsfield, tmp_path: Path) -> None:
    with qrscp(tmp_path / "pacs") as pacs:
        write_settings(tmp_path, port=free_port(), destinations=[("pacs", "PACS", pacs.port), ("gone", "GONE", free_port())])
        one = houndsfield("echo", "pacs", "--json")
        assert one.status == 0, one
        accepted = {item["name"] for item in one.json[0]["accepts"] if item["transfer_syntaxes"]}
        assert {"Comprehensive SR Storage", "Secondary Capture Image Storage"} <= accepted
        assert one.json[0]["warnings"] == []
        both = houndsfield("echo", "--json")
        assert both.status == 1
        assert [entry["answers"] for entry in both.json] == [True, False]
    unknown = houndsfield("echo", "nobody")
    assert one_sentence(unknown)
    assert "known: pacs, gone" in unknown.err


def test_echo_warns_of_documents_that_a_pacs_does_not_take(houndsfield: Houndsfield, tmp_path: Path) -> None:
    with scp(prepare=lambda ae: ae.add_supported_context(SecondaryCaptureImageStorage)) as peer:
        write_settings(tmp_path, port=free_port(), destinations=[("pacs", peer.ae_title, peer.port)])
        done = houndsfield("echo", "--json")
    (warning,) = done.json[0]["warnings"]
    assert warning == 'pacs does not take Comprehensive SR Storage: enable it there, or leave "sr" out of its documents'


def test_status_of_a_node_that_does_not_run_is_not_well(houndsfield: Houndsfield, tmp_path: Path) -> None:
    write_settings(tmp_path, port=free_port(), destinations=[("pacs", "PACS", free_port())])
    done = houndsfield("status", "--json")
    assert done.status == 1
    assert done.json["ok"] is False
    assert done.json["listener"]["answers"] is False
    assert done.json["workers"]["alive"] == 0
    assert done.json["destinations"][0]["name"] == "pacs"
    assert "NONE ALIVE" in houndsfield("status").out


def test_a_node_whose_workers_deliver_and_do_not_analyse_is_not_well(houndsfield: Houndsfield, tmp_path: Path) -> None:
    with scp() as listener:
        ledger = Ledger(load(write_settings(tmp_path, port=listener.port)).node.data_dir)
        for queues, well in (("delivery", False), ("analysis", True)):
            with ledger.transaction() as tx:
                peers.beat(tx, f"worker@{queues}", note=queues)
            done = houndsfield("status", "--json")
            assert (done.status == 0, done.json["ok"]) == (well, well)
            assert ("NONE FOR analysis" in houndsfield("status").out) is not well
    assert done.json["workers"]["queues"] == {"analysis": 1, "delivery": 1}
    ledger.close()


@pytest.mark.parametrize(("verify", "unread"), [("find", 1), ("none", 0)])
def test_what_nobody_asked_to_be_read_back_does_not_look_lost(
    houndsfield: Houndsfield, tmp_path: Path, verify: str, unread: int
) -> None:
    to = [("pacs", "PACS", free_port())]
    path = write_settings(tmp_path, port=free_port(), destinations=to, destination_more=f'verify = "{verify}"')
    ledger = Ledger(load(path).node.data_dir)
    with ledger.transaction() as tx:
        documents.owe(tx, an_original(dx_file(tmp_path / "a.dcm")), ["pacs"])
        row = documents.get_delivery(tx, "2.25.1>pacs")
        documents.delivered(tx, row, DeliveryState.STORED, status="stored")
    (said,) = houndsfield("status", "--json").json["destinations"]
    assert (said["stored"], said["stored_unverified"]) == (1, unread)
    assert ("not asked for" in " ".join(houndsfield("status").out.split())) is (unread == 0)
    ledger.close()


def test_dead_tasks_are_listed_and_retried_all_or_none(houndsfield: Houndsfield, tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path, port=free_port()))
    ledger = Ledger(settings.node.data_dir)
    with ledger.transaction() as tx:
        tasks.owe(tx, "image", "1", queue="analysis")
        held = tasks.claim(tx, "analysis", connections={})
        assert held
        tasks.bury(tx, held, error="it broke")
    listed = houndsfield("tasks", "list", "--json")
    assert [(row["id"], row["state"], row["error"]) for row in listed.json] == [(held.id, "dead", "it broke")]
    assert one_sentence(houndsfield("tasks", "retry", str(held.id), "99"))
    assert houndsfield("tasks", "list", "--json").json[0]["state"] == "dead"
    assert one_sentence(houndsfield("tasks", "retry"))
    assert one_sentence(houndsfield("tasks", "retry", "--to", "nobody"))
    assert houndsfield("tasks", "retry", "--all").status == 0
    assert houndsfield("tasks", "list", "--json").json[0]["state"] == "ready"


def test_what_a_pacs_refused_is_said_with_what_to_do(houndsfield: Houndsfield, tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path, port=free_port(), destinations=[("pacs", "PACS", free_port())]))
    ledger = Ledger(settings.node.data_dir)
    document = an_original(dx_file(tmp_path / "a.dcm"))
    assert "not tried yet" in houndsfield("status").out
    error = "PACS refused the object with status 0xC001"
    with ledger.transaction() as tx:
        documents.owe(tx, document, ["pacs"])
        held = tasks.claim(tx, "delivery", connections={"pacs": 1})
        assert held
        tasks.bury(tx, held, error=error)
        documents.delivered(tx, documents.get_delivery(tx, held.key), DeliveryState.REFUSED, status=error)
    said = houndsfield("status").out
    assert f"pacs: {error}" in said
    assert "tasks retry" in said
    assert houndsfield("tasks", "cancel", str(held.id)).status == 0
    said = houndsfield("status").out  # a person has decided
    assert error not in said
    assert "tasks retry" not in said
    ledger.close()


def test_settings_keys_are_printed_and_not_eaten(houndsfield: Houndsfield) -> None:
    assert "list your consoles under [[modality]] and your PACS under [[destination]]" in houndsfield("config", "init").out


def test_phantoms_are_the_same_for_the_same_seed(houndsfield: Houndsfield, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = houndsfield(
            "phantom", "make", "--count", "1", "--seed", "3", "--out", name, "--rows", "96", "--columns", "120"
        )
        assert done.status == 0
    made = [{p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("one", "two")]
    assert made[0] == made[1]
    assert sum(path.suffix == ".dcm" for path in made[0]) == 3


def instances(pacs: Archive) -> dict[str, Dataset]:
    """What arrived, by its UID."""
    files = [path for path in pacs.instances.rglob("*") if path.is_file()]
    return {str(ds.SOPInstanceUID): ds for ds in (dcmread(path, stop_before_pixels=True) for path in files)}


def named_by(note: Dataset) -> set[str]:
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {
        str(item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_a_test_needs_no_query_where_nothing_is_verified(houndsfield: Houndsfield, tmp_path: Path) -> None:
    """A folder for once: originals alone, without an SR or an overlay that it never wants."""
    write_settings(tmp_path, port=free_port(), destinations=[])
    wanted = 'name = "box"\nkind = "folder"\npath = "box"\ndocuments = ["original"]\nverify = "none"\n'
    (tmp_path / "box").mkdir()
    with (tmp_path / "houndsfield.toml").open("a") as opened:
        opened.write(f"\n[[destination]]\n{wanted}")
    filed = houndsfield("send-test", "box")
    assert filed.status == 0, filed
    assert "3 images and 0 results are in box; not looked for there" in filed.out
    assert len(list((tmp_path / "box").rglob("*.dcm"))) == 3


def test_nothing_of_a_test_is_filed_where_not_all_would_be_taken(houndsfield: Houndsfield, tmp_path: Path) -> None:
    with scp(prepare=lambda ae: ae.add_supported_context(SecondaryCaptureImageStorage)) as peer:
        write_settings(tmp_path, port=free_port(), destinations=[("pacs", peer.ae_title, peer.port)])
        refused = houndsfield("send-test", "pacs")
    assert one_sentence(refused)
    assert "pacs does not accept Comprehensive SR Storage; nothing was filed" in refused.err


def test_a_test_study_is_filed_found_again_and_withdrawn(houndsfield: Houndsfield, tmp_path: Path) -> None:
    with qrscp(tmp_path / "pacs") as pacs:
        write_settings(tmp_path, port=free_port(), destinations=[("pacs", pacs.ae_title, pacs.port)])
        never = houndsfield("send-test", "pacs", "--withdraw")
        assert one_sentence(never)
        assert "no test that this node filed is known to be in pacs" in never.err
        filed = houndsfield("send-test", "pacs")
        assert filed.status == 0, filed
        assert "3 images and 4 results are in pacs; all 7 found there by C-FIND" in filed.out
        assert "ID HOUNDSFIELD-TEST" in filed.out
        first = instances(pacs)
        withdrawn = houndsfield("send-test", "pacs", "--withdraw")
        assert withdrawn.status == 0, withdrawn
        (note,) = (ds for uid, ds in instances(pacs).items() if uid not in first)
        assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
        assert named_by(note) == set(first)
        assert one_sentence(houndsfield("send-test", "pacs", "--withdraw"))
        assert houndsfield("send-test", "pacs").status == 0
        assert len(instances(pacs)) == 2 * len(first) + 1  # no UID came again
    for ds in (*first.values(), note):
        assert (ds.PatientName, ds.PatientID) == ("TEST^HOUNDSFIELD", "HOUNDSFIELD-TEST")
        assert ds.StudyDate == datetime.now(tz=UTC).astimezone().strftime("%Y%m%d")
        assert ds.StudyDescription.startswith("TEST")
    assert one_sentence(houndsfield("send-test", "pacs"))
    assert one_sentence(houndsfield("send-test", "nobody"))


def test_analyse_counts_in_words_and_passes_over_what_is_no_dicom(houndsfield: Houndsfield, tmp_path: Path) -> None:
    stifle = {"BodyPartExamined": "STIFLE", "AnatomicRegionSequence": None}
    dx_file(tmp_path / "in" / "a.dcm", pixels=gradient(400, 500), **stifle)
    for name in ("notes.txt", "list.txt"):
        (tmp_path / "in" / name).write_text("no image")
    done = houndsfield("analyse", tmp_path / "in")
    assert done.status == 0
    assert done.out.endswith("1 image, 0 measured; 2 files not read.\n2 of the files are no DICOM files.\n")
    assert "notes.txt" not in done.out
