"""Drift and lost agreement are alarms, an ordinary month is none, and too few cases are said to be too few."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from factories import dx_file
from model_factory import constant_package

pytest.importorskip("scipy")

from domain.types import (
    Code,
    Finding,
    FindingOutcome,
    ImageAnswer,
    InstanceRef,
    ModelAnswer,
    Outcome,
    Received,
    Species,
    View,
)
from inference.package import ModelPackage, load_package
from inference.plane import fit
from inference.reading import read_radiograph
from ledger import feedback, images
from ledger.feedback import Answer, Feedback
from ledger.store import Ledger
from metalearner.fingerprint import fingerprint, write_fingerprint
from metalearner.monitor import ALARM, CANNOT_SAY, FINE, WEEK_SECONDS, Thresholds, metrics, monitor, write_metrics

HEART = Code(value="CARDIOMEGALY", scheme="99HNDSFLD", meaning="Cardiomegaly")
HEADS = """[[head]]
kind = "classification"
output = "findings"
activation = "sigmoid"
[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
"""
UID_ROOT = "2.25.4711"


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Clinic:
    """A node that has received images and whose model has answered them."""

    ledger: Ledger
    clock: Clock
    package: ModelPackage
    folder: Path
    count: int = 0

    def receive(self, probabilities: Sequence[float], *, view: View = View.RIGHT_LATERAL, **film: object) -> None:
        """film: of `dx_file`; without any the images' files hold nothing that can be read."""
        for p in probabilities:
            self.count += 1
            uid = f"{UID_ROOT}.{self.count}"
            path = self.folder / "spool" / f"{self.count}.dcm"
            path.parent.mkdir(exist_ok=True)
            if film:
                dx_file(path, instance=self.count, **film)
            else:
                path.write_bytes(b"no image")
            ref = InstanceRef(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1", sop_instance_uid=uid)
            received = Received(
                ref=ref,
                study_instance_uid=f"{UID_ROOT}.0.{self.count // 2}",
                series_instance_uid=f"{UID_ROOT}.1.{self.count}",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                calling_ae="DR",
                called_ae="NODE",
                peer_host="192.0.2.1",
                modality="dr-room-1",
                part10_header=b"",
                data_set=b"",
            )
            finding = Finding(
                tracking="CARDIOMEGALY",
                concept=HEART,
                outcome=FindingOutcome.UNCERTAIN,
                sop_instance_uid=uid,
                probability=round(float(p), 4),
            )
            answer = ImageAnswer(
                ref=ref,
                outcome=Outcome.ANALYSED,
                rows=120,
                columns=150,
                view=view,
                species=Species.DOG,
                models=(ModelAnswer(model=self.package.identity, outcome=Outcome.ANALYSED, findings=(finding,)),),
            )
            with self.ledger.transaction() as tx:
                row = images.add(tx, received, path=path, sha256=str(self.count), size_bytes=8)
                assert row is not None
                images.answered(tx, row.id, answer)

    def answer(self, *, agree: int = 0, other: Sequence[Answer] = ()) -> None:
        """What vets say of what the model said."""
        with self.ledger.transaction() as tx:
            for said in (*[Answer.AGREE] * agree, *other):
                self.count += 1
                given = Feedback(
                    study_instance_uid=f"{UID_ROOT}.0.1",
                    sop_instance_uid=f"{UID_ROOT}.1",
                    finding=f"2.25.8.{self.count}",
                    concept=HEART.value,
                    shown=FindingOutcome.PRESENT,
                    answer=said,
                    reader="vet-secret",
                    model=self.package.name,
                    version="1.0.0",
                    corrected={"outcome": "ABSENT"} if said is Answer.CORRECTED else {},
                )
                feedback.record(tx, given)

    def monitored(self, **options: object):
        return monitor(self.ledger, [self.package], now=self.clock.now, **options)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    clock = Clock()
    ledger = Ledger(tmp_path / "data", clock=clock)
    package = load_package(constant_package(tmp_path / "thorax", {"findings": np.array([0.0])}, HEADS, name="thorax"))
    yield Clinic(ledger=ledger, clock=clock, package=package, folder=tmp_path)
    ledger.close()


def chances(count: int, *, seed: int = 0, shift: float = 0.0) -> list[float]:
    return list(np.random.default_rng(seed).beta(1.0 + shift, 2.0, count))


def teach(clinic: Clinic, *, probabilities: Sequence[float] = (), planes: Sequence[object] = ()) -> None:
    content = fingerprint(
        np.array(planes, dtype=np.uint8) if len(planes) else np.zeros((0, 8, 8), np.uint8),
        probabilities={HEART.value: probabilities} if len(probabilities) else {},
        views=["right-lateral"] * 150,
        species=["dog"] * 150,
    )
    write_fingerprint(clinic.package.directory, content)


def only(result):
    (model,) = result["models"]
    return model


def test_an_empty_node_cannot_say(clinic):
    result = clinic.monitored()
    assert (result["status"], result["models"]) == (CANNOT_SAY, [])
    assert "houndsfield_monitor_last_run_timestamp_seconds" in metrics(result)


def test_an_ordinary_month_is_fine(clinic):
    teach(clinic, probabilities=chances(300))
    clinic.receive(chances(90, seed=1))
    clinic.answer(agree=46, other=[Answer.DISAGREE] * 4)
    model = only(clinic.monitored())
    assert (model["status"], model["reasons"], model["images"]) == (FINE, [], 90)
    assert {one["feature"]: one["level"] for one in model["drift"]["features"]} == {
        "probability CARDIOMEGALY": FINE,
        "view": FINE,
        "species": FINE,
    }


def test_answers_that_drift_are_an_alarm(clinic):
    teach(clinic, probabilities=chances(300))
    clinic.receive(chances(90, seed=1, shift=1.5))
    result = clinic.monitored()
    assert result["status"] == ALARM
    (reason,) = [reason for reason in only(result)["reasons"] if reason.startswith("drift")]
    assert "probability CARDIOMEGALY is not what the model was taught with" in reason
    lenient = only(clinic.monitored(thresholds=Thresholds(psi_alarm=9.0)))
    assert (lenient["status"], lenient["drift"]["features"][0]["level"]) == (FINE, "watch")


def test_a_view_that_was_never_taught_is_an_alarm(clinic):
    teach(clinic, probabilities=chances(300))
    clinic.receive(chances(45, seed=1))
    clinic.receive(chances(45, seed=2), view=View.VENTRODORSAL)
    model = only(clinic.monitored())
    assert [one["feature"] for one in model["drift"]["features"] if one["level"] == ALARM] == ["view"]


def test_images_that_look_otherwise_are_an_alarm_and_others_none(clinic):
    """How they look is not in the ledger: it is read from the files that still lie there."""

    def films(seed: int, gray: float) -> list[np.ndarray]:
        made = np.random.default_rng(seed)
        return [np.clip(made.normal(made.normal(gray, 2000), 9000, (64, 80)), 0, 65535).astype(np.uint16) for _ in range(40)]

    taught = []
    for n, film in enumerate(films(0, 30_000)):
        path = dx_file(clinic.folder / "taught" / f"{n}.dcm", pixels=film, instance=n)
        radiograph = read_radiograph(path, assumed_species=None)
        taught.append(
            fit(radiograph.pixels, pixel_aspect=1.0, rows=64, columns=80, low_percent=None, high_percent=None).values
        )
    teach(clinic, planes=np.round(np.array(taught) * 255))
    thresholds = Thresholds(least_images=30)
    for film in films(1, 30_000):
        clinic.receive([0.5], pixels=film)
    model = only(clinic.monitored(thresholds=thresholds))
    assert {one["level"] for one in model["drift"]["features"]} == {FINE}
    clinic.clock.now += 5 * WEEK_SECONDS
    for film in films(2, 45_000):
        clinic.receive([0.5], pixels=film)
    model = only(clinic.monitored(thresholds=thresholds))
    assert model["images"] == 40
    assert "brightness" in [one["feature"] for one in model["drift"]["features"] if one["level"] == ALARM]


def test_files_that_are_gone_are_too_few_and_not_fine(clinic):
    write_fingerprint(clinic.package.directory, fingerprint(np.zeros((20, 64, 80), np.uint8)))
    clinic.receive(chances(60))  # nothing that can be read
    model = only(clinic.monitored())
    assert (model["status"], model["drift"]["status"]) == (CANNOT_SAY, CANNOT_SAY)
    assert any("too few images are left" in reason for reason in model["reasons"])


def test_without_a_fingerprint_or_cases_nothing_is_said_to_be_fine(clinic):
    clinic.receive(chances(60))
    model = only(clinic.monitored())
    assert model["status"] == CANNOT_SAY
    assert any("no fingerprint.json" in reason for reason in model["reasons"])
    assert any("0 answers of vets, fewer than the 20" in reason for reason in model["reasons"])
    teach(clinic, probabilities=chances(300))
    assert any(
        "60 images, fewer than the 70" in r
        for r in only(clinic.monitored(thresholds=Thresholds(least_images=70)))["reasons"]
    )
    gone = monitor(clinic.ledger, [], now=clinic.clock.now)
    assert any("not installed any more" in reason for reason in only(gone)["reasons"])


def test_vets_who_do_not_agree_are_an_alarm(clinic):
    clinic.answer(agree=20, other=[Answer.DISAGREE] * 10 + [Answer.CORRECTED] * 10 + [Answer.UNCERTAIN] * 30)
    model = only(clinic.monitored())
    assert model["status"] == ALARM
    agreement = model["agreement"]
    assert (agreement["answers"], agreement["agreed"]["value"]) == (40, 0.5)  # who does not know does not count
    assert agreement["kinds"] == {"agree": 20, "disagree": 10, "uncertain": 30, "corrected": 10}
    assert agreement["agreed"]["low"] == pytest.approx(0.352, abs=1e-3)  # Wilson
    assert "vets agree in 50% (35% to 65%), below the 80%" in model["reasons"][0]
    assert only(clinic.monitored(thresholds=Thresholds(least_agreement=0.6)))["agreement"]["status"] == FINE


def test_agreement_that_falls_is_an_alarm_though_it_is_high_enough(clinic):
    clinic.answer(agree=195, other=[Answer.DISAGREE] * 5)
    clinic.clock.now += 6 * WEEK_SECONDS
    clinic.answer(agree=85, other=[Answer.DISAGREE] * 15)
    model = only(clinic.monitored())
    assert model["status"] == ALARM
    assert "it has fallen from 98%" in model["reasons"][0]
    weeks = model["agreement"]["by_week"]
    assert [week["answers"] for week in weeks] == [200, 100]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", week["week"]) for week in weeks)


def test_each_version_is_judged_alone_and_one_may_be_asked_for(clinic):
    clinic.answer(agree=30)
    assert clinic.monitored(only="thorax@1.0.0")["models"]
    assert clinic.monitored(only="thorax")["models"]
    assert clinic.monitored(only="thorax@2.0.0")["models"] == []


def test_what_is_told_names_no_study_and_no_reader(clinic, tmp_path):
    teach(clinic, probabilities=chances(300))
    clinic.receive(chances(60, seed=1))
    clinic.answer(agree=30)
    result = clinic.monitored()
    write_metrics(tmp_path / "houndsfield.prom", result)
    told = json.dumps(result, allow_nan=False) + (tmp_path / "houndsfield.prom").read_text()
    assert UID_ROOT not in told
    assert "vet-secret" not in told


def test_metrics_are_what_prometheus_reads(clinic):
    teach(clinic, probabilities=chances(300))
    clinic.receive(chances(60, seed=1))
    clinic.answer(agree=28, other=[Answer.DISAGREE] * 2)
    lines = metrics(clinic.monitored()).splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.e]+')
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("#"))
    assert 'houndsfield_monitor_status{model="thorax",version="1.0.0"} 0' in lines
    assert 'houndsfield_monitor_answers{model="thorax",version="1.0.0"} 30' in lines
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert {line.split(" ")[2] for line in lines if line.startswith("# TYPE")} == names
