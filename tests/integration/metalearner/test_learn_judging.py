"""`learn evaluate` and `learn monitor` from the command line: packages on real files, runs from what training left."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from factories import dx_file
from model_factory import constant_package
from typer.testing import CliRunner

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from cli.main import app
from domain.errors import HoundsfieldError, ModelInvalid, NotFound
from inference.installing import add_package
from metalearner.collection import Case, Collection, Labels, Mask, Part
from metalearner.evaluation import EvaluationRefused, answers_of, evaluate
from metalearner.fingerprint import fingerprint, read_fingerprint, write_fingerprint
from metalearner.model_answers import from_package, from_run

CLASSES = """[[head.class]]
concept = { value = "CARDIOMEGALY", scheme = "99HNDSFLD", meaning = "Cardiomegaly" }
operating_points = { absent_below = 0.2, present_from = 0.6 }
calibration = { slope = 0.5, intercept = 0.25 }
[[head.class]]
concept = { value = "OWN", scheme = "99HERE", meaning = "A finding of our own" }
operating_points = { absent_below = 0.3, present_from = 0.5 }
"""
FINDINGS = '[[head]]\nkind = "classification"\noutput = "findings"\nactivation = "sigmoid"\n' + CLASSES
HIPS = """[[head]]
kind = "landmarks"
output = "points"
form = "points"
spread = "sigmas"
most_spread = 5.0
names = ["left_femoral_head", "right_femoral_head", "left_acetabular_rim", "right_acetabular_rim"]
[[head.measurement]]
measure = "norberg-left"
"""
MASKS = '[[head]]\nkind = "masks"\noutput = "masks"\nactivation = "none"\n' + CLASSES
COUNT = 24


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two films each of twelve patients: four to train, two to validate, six to test; every third heart is large."""
    root = tmp_path_factory.mktemp("collection")
    cases, labels = [], []
    for n in range(COUNT):
        path = dx_file(root / "images" / f"2.25.{n}.dcm", instance=n)
        patient, large = n // 2, float(n // 2 % 3 == 1)
        cases.append(
            Case(
                image=f"2.25.{n}",
                file=str(path.relative_to(root)),
                patient=f"{patient:016x}",
                study=f"2.25.77{patient}",
                species="dog",
                view="right-lateral",
                region="thorax",
                rows=120,
                columns=150,
                spacing_row_mm=0.15,
                spacing_column_mm=0.15,
            )
        )
        ring = ((60.0, 40.0), (90.0, 40.0), (90.0, 80.0), (60.0, 80.0))
        labels.append(
            Labels(
                image=f"2.25.{n}",
                source="reader",
                classes={"CARDIOMEGALY": large, "OWN": 1 - large},
                points={"left_femoral_head": (110.0, 60.0)},
                masks=(Mask(concept="CARDIOMEGALY", polygons=(ring,)),) if large else (),
                measures={"NORBERG_LEFT": 100.0},
            )
        )
    parts = [Part.TRAIN] * 4 + [Part.VALIDATION] * 2 + [Part.TEST] * 6
    made = Collection(
        root=root,
        name="films",
        made_at="2026-01-01T00:00:00+00:00",
        cases=tuple(cases),
        labels=tuple(labels),
        split={f"{patient:016x}": part for patient, part in enumerate(parts)},
    )
    made.save()
    return Collection.load(root)


def of_part(collection: Collection, part: Part) -> list[str]:
    return [image for image, of in collection.parts().items() if of is part]


def test_a_package_is_asked_for_probabilities_before_and_after_calibration(collection, tmp_path):
    package = constant_package(tmp_path / "p", {"findings": np.array([2.0, -1.0])}, FINDINGS)
    found = from_package(package, collection, of_part(collection, Part.TEST))
    assert len(found.images) == 12
    assert found.raw["CARDIOMEGALY"] == pytest.approx(np.full(12, 1 / (1 + np.exp(-2.0))))
    assert found.probabilities["CARDIOMEGALY"] == pytest.approx(np.full(12, 1 / (1 + np.exp(-1.25))))
    assert found.operating_points == {"CARDIOMEGALY": (0.2, 0.6), "OWN": (0.3, 0.5)}
    assert found.words["OWN"] == "A finding of our own"


def test_landmarks_of_a_package_lie_in_the_pixels_of_the_film(collection, tmp_path):
    """Films of 120 × 150 on planes of 64 × 80: half as large, but for the rounding of the letterbox."""
    points = np.array([(60.0, 40), (20, 40), (62, 30), (18, 30)])
    package = constant_package(tmp_path / "p", {"points": points, "sigmas": np.full(4, 0.5)}, HIPS)
    found = from_package(package, collection, of_part(collection, Part.TEST)[:2])
    assert found.points["left_femoral_head"][0] == pytest.approx([112.5, 75.0], abs=1.5)
    assert found.measures["NORBERG_LEFT"][0] == pytest.approx(101.3, abs=0.5)  # 90° + atan(2 / 10)


def test_masks_of_a_package_are_outlines_in_the_pixels_of_the_film(collection, tmp_path):
    masks = np.stack([np.pad(np.full((20, 20), 0.9), ((20, 24), (30, 30))), np.zeros((64, 80))])
    package = constant_package(tmp_path / "p", {"masks": masks}, MASKS)
    found = from_package(package, collection, of_part(collection, Part.TEST)[:1])
    ((outlined,),) = found.regions["CARDIOMEGALY"]
    assert outlined.ring.min(axis=0) == pytest.approx([56, 37.5], abs=2)
    assert outlined.ring.max(axis=0) == pytest.approx([94, 75], abs=2)


def test_an_image_that_a_model_is_not_made_for_is_counted_as_declined(collection, tmp_path):
    package = constant_package(tmp_path / "p", {"findings": np.zeros(2)}, FINDINGS, applicability='species = ["cat"]')
    with pytest.raises(EvaluationRefused, match="answered none of the 12 images"):
        answers_of(package, collection, Part.TEST)


def test_a_package_that_names_its_patients_is_refused_for_them(collection, tmp_path):
    package = constant_package(tmp_path / "p", {"findings": np.zeros(2)}, FINDINGS)
    write_fingerprint(package, fingerprint(np.zeros((1, 8, 8), np.uint8), patients=[f"{6:016x}", f"{7:016x}"]))
    with pytest.raises(EvaluationRefused, match="was trained on 2 of the 6 patients of the part test"):
        answers_of(package, collection, Part.TEST)


def make_run(collection: Collection, *, name: str = "first", parts: tuple[Part, ...] = (Part.VALIDATION, Part.TEST)) -> Path:
    """What `learn train` leaves, with probabilities that tell large hearts, overconfident."""
    from metalearner.tasks import Recipe, Task

    task = Task.model_validate({"format": 1, "name": "hearts", "kind": "classification", "concepts": ["CARDIOMEGALY"]})
    run = collection.root / "runs" / name
    run.mkdir(parents=True, exist_ok=True)
    said = {"format": 1, "task": task.model_dump(mode="json"), "recipe": asdict(Recipe()), "weights": "weights.pt"}
    (run / "run.json").write_text(json.dumps(said))
    rng = np.random.default_rng(0)
    for part in parts:
        images = of_part(collection, part)
        large = np.array([collection.truth(image).classes["CARDIOMEGALY"] for image in images])
        logits = (8 * large - 4 + rng.normal(0, 1, len(large)))[:, None]
        np.savez(
            run / f"answers-{part.value}.npz",
            images=np.array(images),
            logits=logits,
            probabilities=1 / (1 + np.exp(-logits)),
            points=np.zeros((len(images), 0, 2)),
        )
    return run


def test_a_run_is_calibrated_by_its_validation_part_alone(collection):
    found = from_run(make_run(collection), collection, Part.TEST)
    assert found.calibrated_by == "Platt scaling on the validation part"
    assert found.probabilities["CARDIOMEGALY"].max() < found.raw["CARDIOMEGALY"].max()  # Platt's targets doubt four films
    assert found.operating_points["CARDIOMEGALY"] != (0.5, 0.5)
    own = from_run(collection.root / "runs" / "first", collection, Part.VALIDATION)
    assert (own.calibrated_by, own.operating_points) == ("", {"CARDIOMEGALY": (0.5, 0.5)})


def test_a_run_of_landmarks_is_measured_as_the_node_measures(collection):
    names = ["left_femoral_head", "right_femoral_head", "left_acetabular_rim"]
    points = np.tile([(110.0, 60.0), (30.0, 60.0), (110.0, 20.0)], (12, 1, 1))
    found = from_run(kept_run(collection, "hips", landmarks=names, points=points), collection, Part.TEST)
    assert found.measures["NORBERG_LEFT"] == pytest.approx(np.full(12, 90.0))
    assert found.points["left_femoral_head"].shape == (12, 2)


def test_a_runs_masks_and_boxes_are_regions_of_the_film(collection):
    """Films of 120 × 150 on planes of 64 × 80, masks a quarter of that: a pixel of a mask is 7.5 of the film."""
    masks = np.zeros((12, 1, 16, 20), np.uint8)
    masks[:, 0, 4:8, 8:12] = 1
    ((outlined,), *_) = from_run(kept_run(collection, "areas", masks=masks), collection, Part.TEST).regions["CARDIOMEGALY"]
    assert outlined.ring.min(axis=0) == pytest.approx([60, 30], abs=2)
    assert outlined.ring.max(axis=0) == pytest.approx([90, 60], abs=2)
    boxes = np.full((12, 3, 6), np.nan)
    boxes[:, 0] = (0, 0.8, 60, 40, 90, 80)
    found = from_run(kept_run(collection, "boxes", boxes=boxes), collection, Part.TEST)
    assert found.drawn == "boxes"
    result = evaluate(found, collection, Part.TEST)
    assert result["regions"][0]["overlap"]["value"] == pytest.approx(1, abs=0.05)  # of a raster
    assert result["regions"][0]["sensitivity"]["value"] == 1
    assert result["regions"][0]["false_alarms_per_image"]["value"] == pytest.approx(8 / 12, abs=1e-6)


def kept_run(collection: Collection, name: str, *, landmarks: list[str] | None = None, **kept: np.ndarray) -> Path:
    """A run that answered the test part: with probability 0.9, and what else is said."""
    from metalearner.tasks import Recipe, Task

    asked = (
        {"kind": "landmarks", "points": landmarks, "measurement": [{"measure": "norberg-left"}]}
        if landmarks
        else {"kind": "boxes" if "boxes" in kept else "findings", "concepts": ["CARDIOMEGALY"]}
    )
    task = Task.model_validate({"format": 1, "name": name, **asked})
    run = collection.root / "runs" / name
    run.mkdir(parents=True)
    said = {"format": 1, "task": task.model_dump(mode="json"), "recipe": asdict(Recipe(rows=64, columns=80)), "weights": "-"}
    (run / "run.json").write_text(json.dumps(said))
    images = np.array(of_part(collection, Part.TEST))
    concepts = len(task.values)
    content = {"points": np.zeros((12, 0, 2)), "probabilities": np.full((12, concepts), 0.9)} | kept
    np.savez(run / "answers-test.npz", images=images, **content)
    return run


def test_a_run_without_answers_or_of_another_collection_is_said_to_be_so(collection, tmp_path):
    run = make_run(collection, name="short", parts=(Part.VALIDATION,))
    with pytest.raises(NotFound, match="kept no answers to the part test"):
        from_run(run, collection, Part.TEST)
    other = Collection(root=tmp_path, name="other", made_at="2026")
    with pytest.raises(NotFound, match="4 of its images are not in the collection other"):
        from_run(run, other, Part.VALIDATION)
    (run / "answers-test.npz").write_bytes(b"cut short")
    with pytest.raises(NotFound, match="cannot be read"):
        from_run(run, collection, Part.TEST)


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["learn", *map(str, arguments)])


def test_evaluate_writes_a_page_a_json_and_a_table_for_the_card(collection, tmp_path):
    run, package = make_run(collection), constant_package(tmp_path / "p", {"findings": np.array([1.0, -1.0])}, FINDINGS)
    out = tmp_path / "out"
    found = invoke("evaluate", run, "--collection", collection.root, "--against", package, "--out", out, "--json")
    assert found.exit_code == 0, found.output
    result = json.loads(found.stdout)
    assert result == json.loads((out / "evaluation.json").read_text())
    assert result["model"] == {"name": "first", "version": "", "source": "run"}
    assert result["comparison"]["against"]["name"] == "constant"
    assert result["findings"][0]["few_cases"] is True
    assert result["comparison"]["findings"][0]["verdict"] == "too few cases"
    assert "| Cardiomegaly (few cases) |" in (out / "evaluation.md").read_text()
    page = (out / "evaluation.html").read_text()
    assert "How good is first?" in page
    for case in collection.cases:
        assert case.patient not in page + found.stdout
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "evaluation.json", "evaluation.md"]


def test_evaluate_without_a_folder_writes_into_the_collection(collection):
    found = invoke("evaluate", make_run(collection), "--collection", collection.root)
    assert found.exit_code == 0, found.output
    assert "Mean AUC of 1 findings" in found.stdout
    assert (collection.root / "evaluations" / "first-test" / "evaluation.html").is_file()


def test_evaluate_refuses_in_one_sentence(collection, tmp_path):
    package = constant_package(tmp_path / "p", {"findings": np.zeros(2)}, FINDINGS)
    triage = Path(__file__).parents[3] / "models" / "radiograph-triage"
    for what, part, said in (
        (package, "nowhere", "nowhere"),
        (triage, "test", "is for triage"),
        (tmp_path, "test", "package.toml"),
    ):
        found = invoke("evaluate", what, "--collection", collection.root, "--part", part)
        assert found.exit_code != 0
        assert said in (str(found.exception) if isinstance(found.exception, HoundsfieldError) else found.output)
    with pytest.raises(ModelInvalid):
        answers_of(triage, collection, Part.TEST)


def test_monitor_of_an_empty_node_says_so_and_cannot_say(tmp_path):
    settings = tmp_path / "houndsfield.toml"
    settings.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    found = invoke("monitor", "-c", settings, "--metrics", tmp_path / "monitor.prom")
    assert found.exit_code == 2
    assert found.stdout.count("\n") == 1
    assert "No model has answered an image in the last 4 weeks" in found.stdout
    assert "houndsfield_monitor_last_run_timestamp_seconds" in (tmp_path / "monitor.prom").read_text()
    assert json.loads(invoke("monitor", "-c", settings, "--json").stdout)["status"] == "cannot say"


def test_a_fingerprint_is_installed_with_its_package(tmp_path):
    expected = {"classification": {"CARDIOMEGALY": 0.5622, "OWN": 0.5, "tolerance": 0.02}}
    package = constant_package(tmp_path / "p", {"findings": np.zeros(2)}, FINDINGS, expected=expected)
    content = fingerprint(np.zeros((20, 8, 8), np.uint8))
    write_fingerprint(package, content)
    added = add_package(package, tmp_path / "models", trusted_keys=(), signature_required=False)
    assert read_fingerprint(added.package.directory) == content
