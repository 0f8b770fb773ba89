"""Make the pictures of the documentation, all of phantoms. `make picture`.

overlay.jpg is README's: what the model that comes with the product says of a synthetic dog. The others are made with
made-up findings, so that every kind of answer can be looked at, and say so.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from domain import codes
from domain.types import (
    Evidence,
    Finding,
    FindingOutcome,
    ImageAnswer,
    Language,
    ModelAnswer,
    Outcome,
    Point,
    Reason,
    Region,
    Shape,
    Species,
)
from inference.engine import Answered, Engine
from inference.package import find_packages
from phantoms.study import make_study
from sr_writer import draw_overlay, draw_summary
from sr_writer.typeset import BOLD, GROUND, ORANGE, fit

SEED = 24  # a large heart, of an animal that lies well
WIDTH = 1100
PHONE_WIDTH = 390  # pixels of a phone held upright
PRINT_WIDTH = 1480  # of an A5 sheet lying, at 180 dots per inch
THUMBNAIL_WIDTH = 200
EXAMPLE = "EXAMPLE – made-up findings on a synthetic image"
MADE_UP = ("Cardiomegaly", "Pulmonary nodule", "Alveolar pattern", "Tracheal collapse", "Pleural effusion", "Pneumothorax")


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    english, korean = Language.ENGLISH, Language.KOREAN
    with tempfile.TemporaryDirectory() as name:
        lateral, upright = make_study(SEED, directory=Path(name), views=("lateral-right", "ventrodorsal"))
        engine = Engine(find_packages(), threads=2)
        seen = engine.look(lateral, assumed_species=Species.DOG)
        other = engine.look(upright, assumed_species=Species.DOG)
    save(overlay(seen, seen.answer, english), folder / "overlay.jpg", WIDTH)

    thorax = answered(seen, (*measured(seen), *thorax_findings(seen)))
    findings = example(overlay(seen, thorax, english))
    save(findings, folder / "overlay-findings.jpg", WIDTH)
    save(findings, folder / "overlay-phone.jpg", PHONE_WIDTH)
    save(findings, folder / "overlay-thumbnail.jpg", THUMBNAIL_WIDTH)
    save(findings.convert("L"), folder / "overlay-print.jpg", PRINT_WIDTH)
    save(example(overlay(seen, thorax, korean)), folder / "overlay-findings-ko.jpg", WIDTH)
    hips = Evidence(answer=replace(answered(other, hip_findings(other)), region=Region.PELVIS), sha256="", path=Path())
    save(example(draw_overlay(hips, pixels=draw_pelvis(), language=korean)), folder / "overlay-pelvis-ko.jpg", WIDTH)
    nothing = answered(seen, tuple(made_up(seen, term, FindingOutcome.ABSENT, 0.03) for term in MADE_UP))
    save(example(overlay(seen, nothing, english)), folder / "overlay-no-finding.jpg", WIDTH)
    declined = replace(
        other.answer,
        outcome=Outcome.DECLINED,
        reason=Reason(code="no_model_for_region", details={"region": "pelvis"}),
        region=Region.PELVIS,
        models=(),
    )
    save(example(overlay(other, declined, english)), folder / "overlay-declined.jpg", WIDTH)
    failed = replace(seen.answer, outcome=Outcome.FAILED, reason=Reason(code="analysis_failed"), models=())
    save(example(overlay(seen, failed, english, shown=False)), folder / "overlay-failed.jpg", WIDTH)
    summary = draw_summary(
        [evidence(answer) for answer in (thorax, declined)],
        pixels=[pixels(seen), pixels(other)],
        language=english,
        pixel_aspects=[1.0, 1.0],
    )
    save(example(summary), folder / "summary.jpg", WIDTH)


def pixels(seen: Answered) -> npt.NDArray[np.float32] | None:
    return None if seen.radiograph is None else seen.radiograph.pixels


def evidence(answer: ImageAnswer) -> Evidence:
    return Evidence(answer=answer, sha256="", path=Path())


def overlay(seen: Answered, answer: ImageAnswer, language: Language, *, shown: bool = True) -> Image.Image:
    return draw_overlay(evidence(answer), pixels=pixels(seen) if shown else None, language=language)


def measured(seen: Answered) -> tuple[Finding, ...]:
    return tuple(finding for answer in seen.answer.models for finding in answer.findings)


def answered(seen: Answered, findings: tuple[Finding, ...]) -> ImageAnswer:
    model = replace(find_packages()[0].identity, name="example", version="0")
    spoken = ModelAnswer(model=model, outcome=Outcome.ANALYSED, findings=findings)
    return replace(seen.answer, outcome=Outcome.ANALYSED, reason=None, models=(spoken,))


def made_up(
    seen: Answered, name: str, outcome: FindingOutcome, probability: float | None = None, *regions: Shape
) -> Finding:
    term = next(term for term in codes.FINDINGS if term.english == name)
    return Finding(
        tracking=term.code.value,
        concept=term.code,
        outcome=outcome,
        sop_instance_uid=seen.answer.ref.sop_instance_uid,
        probability=probability,
        reason=None if probability else Reason(code="out_of_frame"),
        site=term.site,
        regions=regions,
    )


def thorax_findings(seen: Answered) -> tuple[Finding, ...]:
    """Of a dog that lies on its side: the heart is outlined around its measured axes."""
    axes = [m.lines for finding in measured(seen) for m in finding.measurements[1:]]
    ends = [point for lines in axes for line in lines.values() for point in line]
    heart = sum(x for x, _ in ends) / len(ends), sum(y for _, y in ends) / len(ends)
    half = max(math.dist(*line) for lines in axes for line in lines.values()) / 2
    nodule = heart[0] + 1.55 * half, heart[1] - 0.45 * half
    patch = heart[0] + 1.5 * half, heart[1] + 0.45 * half
    return (
        made_up(seen, "Cardiomegaly", FindingOutcome.PRESENT, 0.93, ring(heart, (1.02 * half, 1.12 * half))),
        made_up(seen, "Pulmonary nodule", FindingOutcome.PRESENT, 0.71, ring(nodule, (0.2 * half, 0.2 * half))),
        made_up(seen, "Alveolar pattern", FindingOutcome.UNCERTAIN, 0.48, ring(patch, (0.3 * half, 0.4 * half))),
        made_up(seen, "Tracheal collapse", FindingOutcome.NOT_ASSESSABLE),
        made_up(seen, "Pleural effusion", FindingOutcome.ABSENT, 0.04),
        made_up(seen, "Pneumothorax", FindingOutcome.ABSENT, 0.02),
    )


def hip_findings(seen: Answered) -> tuple[Finding, ...]:
    hip = "Hip dysplasia or subluxation"
    right, left = ring((418, 690), (105, 100)), ring((782, 690), (105, 100))  # the animal's: it lies on its back
    corners = ((300.0, 600.0), (520.0, 600.0), (520.0, 800.0), (300.0, 800.0))
    return (
        replace(made_up(seen, hip, FindingOutcome.PRESENT, 0.81, right), laterality=codes.RIGHT),
        replace(made_up(seen, hip, FindingOutcome.UNCERTAIN, 0.52, left), laterality=codes.LEFT),
        made_up(seen, "Osteoarthritis", FindingOutcome.PRESENT, 0.66, Shape(graphic_type="POLYLINE", points=corners)),
        made_up(seen, "Fracture", FindingOutcome.ABSENT, 0.02),
    )


def draw_pelvis() -> npt.NDArray[np.float32]:
    """A sketch that stands for a ventrodorsal pelvis, for the phantoms have none: (1300, 1200), 0..1."""
    flesh, bone = Image.new("L", (1200, 1300)), Image.new("L", (1200, 1300))
    soft, hard = ImageDraw.Draw(flesh), ImageDraw.Draw(bone)
    soft.polygon(
        [(250, 0), (950, 0), (1080, 600), (1060, 1300), (640, 1300), (600, 900), (560, 1300), (140, 1300), (120, 600)],
        fill=90,
    )
    for row in range(0, 620, 88):  # lumbar vertebrae, sacrum, tail
        hard.rounded_rectangle([600 - 46, row, 600 + 46, row + 76], radius=14, fill=130)
    for row in range(640, 980, 60):
        hard.rounded_rectangle([585, row, 615, row + 48], radius=10, fill=70)
    for side in (-1, 1):

        def at(*points: Point, side: int = side) -> list[Point]:
            return [(600 + side * x, y) for x, y in points]

        hard.line(at((70, 420), (120, 300), (190, 430), (165, 640)), fill=120, width=60, joint="curve")
        hard.line(at((165, 640), (150, 780), (60, 900)), fill=105, width=46, joint="curve")
        hard.line(at((60, 740), (165, 700)), fill=100, width=34)
        hard.line(at((182, 690), (262, 760), (300, 1300)), fill=120, width=62, joint="curve")
        (x, y), (trochanter, low) = at((182, 690), (285, 740))
        hard.ellipse([x - 52, y - 52, x + 52, y + 52], fill=150)
        hard.ellipse([trochanter - 36, low - 46, trochanter + 36, low + 46], fill=130)
    layers = [
        np.asarray(layer.filter(ImageFilter.GaussianBlur(size)), dtype=np.float32)
        for layer, size in ((flesh, 26), (bone, 4))
    ]
    noise = np.random.default_rng(SEED).normal(0, 2.5, layers[0].shape).astype(np.float32)
    return np.clip((layers[0] + layers[1] + noise) / 255, 0, 1).astype(np.float32)


def ring(centre: Point, radii: Point) -> Shape:
    turns = [2 * math.pi * n / 48 for n in range(49)]
    points = tuple((centre[0] + radii[0] * math.cos(t), centre[1] + radii[1] * math.sin(t)) for t in turns)
    return Shape(graphic_type="POLYLINE", points=points)


def example(picture: Image.Image) -> Image.Image:
    """With a strip below it that says that nothing in it is true."""
    strip = round(picture.width * 0.035)
    longer = Image.new("RGB", (picture.width, picture.height + strip), ORANGE)
    longer.paste(picture)
    face = fit(EXAMPLE, BOLD, width_px=picture.width * 0.9, height_px=strip * 0.66)
    middle = picture.width / 2, picture.height + strip / 2
    ImageDraw.Draw(longer).text(middle, EXAMPLE, font=face, fill=GROUND, anchor="mm")
    return longer


def save(picture: Image.Image, path: Path, width: int) -> None:
    height = picture.height * width // picture.width
    picture.resize((width, height), Image.Resampling.LANCZOS).save(path, quality=80, optimize=True)
    print(f"{path} written")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
