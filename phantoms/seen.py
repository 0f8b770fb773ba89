"""What the rays of a film meet: the body before and with its findings, where each finding shows, what can be measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from domain.measures import norberg_angle
from domain.types import View
from phantoms import lesions
from phantoms.cardiac import heart_score, shadow_axes
from phantoms.chest_findings import within_lung
from phantoms.detector import enlarge
from phantoms.field import Plane, sample, spread
from phantoms.lesions import Shown
from phantoms.mishaps import furniture
from phantoms.projection import Frame, Thickness, add
from phantoms.scenes import Mark, Scene, lines, posture_of
from phantoms.solids import FloatArray, Solid, Tissue
from phantoms.torso import Soft

Layers = dict[Tissue, Plane]

# Vertebrae along a ray from which on a finding counts as shown there.
LEAST = {
    lesions.ALVEOLAR: 0.3,
    lesions.INTERSTITIAL: 0.8,
    lesions.NODULE: 0.02,
    lesions.BRONCHIAL: 0.02,
    lesions.EFFUSION: 0.35,
    lesions.PNEUMOTHORAX: 0.3,
    lesions.OESOPHAGUS: 0.35,
    lesions.CARDIOMEGALY: 0.05,
}
SMALLEST = 2.5e-5  # of the film: what is less is not on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """well: before any finding; ailing: with them, None where there is none."""

    well: Thickness
    ailing: Thickness | None = None
    findings: tuple[Shown, ...] = field(default=(), repr=False)


def look_through(scene: Scene, frame: Frame, variety: float, rng: np.random.Generator) -> Bodies:
    rows, columns = frame.rows, frame.columns
    rays, depths = scene.grid
    samples = sample(frame, near=scene.near, far=scene.far, count=depths, pixels=max(min(rows, columns) / rays, 2.0))
    soft = scene.soft(samples)
    solids = (*scene.solids, *lines(scene, rng)) if rng.random() < variety else scene.solids
    ailing = scene.ailing
    kept = {id(solid) for solid in ailing.solids} | {id(solid) for solid in solids[len(scene.solids) :]} if ailing else None
    layers = _layers(rows, columns)
    draw(layers, frame, tuple(one for one in solids if kept is None or id(one) in kept))
    sick = {tissue: plane.copy() for tissue, plane in layers.items()} if ailing else None
    if kept is not None:
        draw(layers, frame, tuple(one for one in solids if id(one) not in kept))
    grain = gaussian_filter(rng.standard_normal((rows, columns), dtype=np.float32), 1.1 * rows / 512, truncate=2.0)
    grain *= np.float32(0.07 / (grain.std() + 1e-6))
    # Lung is no even sponge.
    small = rng.standard_normal((rows // 8 + 2, columns // 8 + 2), dtype=np.float32)
    mottle = enlarge(small, rows, columns) * np.float32(rng.uniform(0.0, scene.mottle))
    behind: Plane | None = None
    if rng.random() < variety:
        behind = furniture(rng, rows, columns) * np.float32(8 / scene.build.unit_mm)
    grains = (grain, mottle, behind)
    well = _thickness(soft, layers, grains, frame)
    if ailing is None or sick is None:
        return Bodies(well=well)
    old = {id(solid) for solid in scene.solids}
    draw(sick, frame, tuple(one for one in ailing.solids if id(one) not in old))
    flesh = ailing.soft(samples) if ailing.soft is not None else soft.ailing or soft
    traces = {concept: spread(plane, columns=columns, rows=rows) for concept, plane in flesh.traces.items()}
    added: Plane | None = None
    if ailing.chest is not None:
        lung = np.maximum(spread(flesh.lung, columns=columns, rows=rows), 0)
        noise = np.random.default_rng([scene.build.seed, 31]).standard_normal((rows, columns), dtype=np.float32)
        added = within_lung(ailing.chest, frame, lung, traces, noise)
        if ailing.chest.blur:
            sick[Tissue.VESSEL] = gaussian_filter(
                sick[Tissue.VESSEL], ailing.chest.blur * frame.pixels_per_unit, truncate=2.0
            )
    thickness = _thickness(flesh, sick, grains, frame, added)
    traces[lesions.CARDIOMEGALY] = spread(flesh.heart, columns=columns, rows=rows)
    shown = [_shown(mark, traces, frame) for mark in ailing.marks]
    return Bodies(well=well, ailing=thickness, findings=tuple(one for one in shown if one is not None))


def _layers(rows: int, columns: int) -> Layers:
    return {tissue: np.zeros((rows, columns), np.float32) for tissue in Tissue}


def draw(layers: Layers, frame: Frame, solids: tuple[Solid, ...]) -> None:
    for solid in solids:
        add(layers, frame, solid)


def _thickness(
    soft: Soft, layers: Layers, grains: tuple[Plane, Plane, Plane | None], frame: Frame, added: Plane | None = None
) -> Thickness:
    rows, columns = frame.rows, frame.columns
    grain, mottle, behind = grains
    tissue, lung, heart = (spread(plane, columns=columns, rows=rows) for plane in (soft.tissue, soft.lung, soft.heart))
    np.maximum(tissue, 0, out=tissue)
    bone = layers[Tissue.BONE] * (1 + grain)
    np.maximum(bone, 0, out=bone)
    tissue += lung * mottle
    tissue += np.minimum(layers[Tissue.VESSEL], lung * np.float32(0.4)) * np.float32(0.6)
    if added is not None:
        tissue += added
    tissue += layers[Tissue.FLESH] - np.minimum(layers[Tissue.GAS], tissue * np.float32(0.8))
    if behind is not None:
        tissue += behind
    return Thickness(soft=np.maximum(tissue, 0), bone=bone, heart=heart > 0.05)


def _shown(mark: Mark, traces: dict[str, Plane], frame: Frame) -> Shown | None:
    concept = mark.lesion.concept
    if mark.solids:
        layers = _layers(frame.rows, frame.columns)
        draw(layers, frame, mark.solids)
        mask = np.add.reduce(list(layers.values())) > 0
    elif concept in traces:
        plane = traces[concept]
        if concept == lesions.BRONCHIAL:  # the part of the lungs between its rings and lines
            plane = gaussian_filter(plane, 0.3 * frame.pixels_per_unit, truncate=2.0)
        least = LEAST[concept]
        if concept in (lesions.EFFUSION, lesions.PNEUMOTHORAX):  # thin layers lie over the whole chest
            least = max(least, 0.3 * float(plane.max()))
        mask = plane > least
    else:
        return None
    if mask.sum() < max(SMALLEST * mask.size, 4):
        return None
    return Shown(concept=concept, grade=mark.lesion.grade, mask=mask, site=mark.site, laterality=mark.laterality)


def measure(scene: Scene, frame: Frame, view: View) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Landmarks, (n, 2) pixels by name, and what they measure on this film: nothing that needs a landmark outside it."""
    landmarks = {name: frame.to_pixels(at) for name, at in scene.landmarks.items()}
    size = np.array([frame.columns, frame.rows])

    def on_film(*points: FloatArray) -> bool:
        return all(bool(((at >= 0) & (at <= size)).all()) for at in points)

    measures: dict[str, float] = {}
    if scene.heart and scene.spine is not None and posture_of(view) == "lateral":
        carina = scene.landmarks["carina"][0]
        long_axis, short_axis = (
            axis @ frame.matrix.T + frame.offset for axis in shadow_axes(scene.heart, carina, scene.view)
        )
        landmarks |= {"heart-long-axis": long_axis, "heart-short-axis": short_axis}
        if on_film(long_axis, short_axis, frame.to_pixels(scene.spine[:8])):
            measures["VHS"] = heart_score(scene.heart, carina, scene.spine, scene.view)
    if view is View.VENTRODORSAL:
        for i in scene.hips:
            centres, rims = landmarks["femoral-heads"], landmarks["acetabular-rims"]
            if on_film(centres, rims[i]):
                angle = norberg_angle(centre=centres[i], other_centre=centres[1 - i], rim=rims[i])
                measures[("NORBERG_RIGHT", "NORBERG_LEFT")[i]] = angle
    return landmarks, measures
