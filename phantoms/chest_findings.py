"""Findings of the thorax as changes of an animal's lungs in space, and as shapes within them: all views show the same ones.

Patterns and their signs follow Thrall's Textbook of Veterinary Diagnostic Radiology: an alveolar pattern is air spaces full
to the opacity of water, with air bronchograms, without the vessels' and the heart's borders; an interstitial one a haze that
blurs vessels and leaves them visible; a bronchial one rings and tram lines. Nodules are drawn from 8 mm on, what radiographs
of dogs show reliably (Nemanic 2006, 7 to 9 mm), masses from 30 mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from phantoms import lesions
from phantoms.cardiac import Cardiac, within
from phantoms.chest import Breath, Lungs, beside_vessels, heart_depth, lung_depth, lung_share
from phantoms.field import Depths, Plane, Samples, filled, in_cone, in_ellipsoid, table_index
from phantoms.lesions import Lesion
from phantoms.projection import Frame, add
from phantoms.solids import Ellipsoid, FloatArray, Solid, Tissue, beside, points, rotation, tube
from phantoms.torso import Torso

# Each by grade, from low to high.
CONSOLIDATED = ((0.6, 0.75), (0.78, 0.9), (0.92, 1.0))  # share of the air that an alveolar pattern replaces
PATCH_RADIUS = ((1.05, 1.35), (1.4, 1.8), (1.7, 2.2))  # vertebrae
HAZE = ((0.10, 0.17), (0.2, 0.3), (0.36, 0.5))  # share of the air that an interstitial pattern replaces
RETICULE = ((0.02, 0.028), (0.036, 0.048), (0.058, 0.078))  # its texture: of water, by the square root of lung, vertebrae
BRONCHI = ((60, 75), (95, 115), (135, 165))  # thickened bronchi that are drawn
WALL_MM = ((1.0, 1.3), (1.4, 1.8), (1.8, 2.4))
NODULE_MM = ((8.0, 13.0), (15.0, 29.0), (32.0, 55.0))  # diameter of the largest one
FLUID = ((0.16, 0.28), (0.4, 0.65), (0.85, 1.4))  # vertebrae between wall and lung
FREE_AIR = ((0.22, 0.36), (0.5, 0.8), (1.0, 1.6))  # likewise
COLLAPSE = ((0.04, 0.08), (0.12, 0.2), (0.25, 0.4))  # share of its air that a lung beside free air has lost


@dataclass(slots=True, kw_only=True)
class _Sick:
    """Lungs while findings are laid into them. depth: below their surface; whole: the lungs' share of each point when they
    were well; lung: what of it still shows vessels."""

    lungs: Lungs
    depth: Depths
    whole: Depths
    lung: Depths


# From the air at each point to the air that is left, and where the finding is.
Fill = Callable[[_Sick, Depths], tuple[Depths, Depths]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChestDisease:
    """breath: for `torso.soft_tissue`. The rest is finer than its grid: solids of water within lung by concept, air within
    what is consolidated, the wall of a gullet; reticule: texture against lung, grain: its finest and
    coarsest width; blur: of vessels; these in vertebrae."""

    breath: Callable[[Lungs], Breath]
    lung_density: float
    solids: dict[str, tuple[Solid, ...]] = field(default_factory=dict)
    lumens: tuple[Solid, ...] = ()
    wall: tuple[Solid, ...] = ()
    reticule: float = 0.0
    grain: tuple[float, float] = (0.05, 0.13)
    blur: float = 0.0


def draw_disease(torso: Torso, cardiac: Cardiac, found: tuple[Lesion, ...], posture: str) -> ChestDisease:
    """torso: of the animal before it ailed, so that a finding lies where it lies whatever else is found; cardiac: ailing."""
    grades = {lesion.concept: lesion.grade for lesion in found}
    drawn = {concept: np.random.default_rng([torso.build.seed, 30, i]) for i, concept in enumerate(lesions.THORAX)}
    share = {concept: float(rng.random()) for concept, rng in drawn.items()}
    fills: list[tuple[str, Fill]] = []
    solids: dict[str, tuple[Solid, ...]] = {}
    lumens: tuple[Solid, ...] = ()
    reticule = blur = 0.0
    grain = (0.05, 0.13)
    if grade := grades.get(lesions.INTERSTITIAL, 0):
        one = lesions.INTERSTITIAL
        fills.append((one, _haze(torso, within(HAZE, grade, share[one]), drawn[one])))
        reticule, blur = within(RETICULE, grade, share[one]), 0.03 * grade
        grain = (float(drawn[one].uniform(0.025, 0.06)), float(drawn[one].uniform(0.09, 0.17)))
    if grade := grades.get(lesions.ALVEOLAR, 0):
        one = lesions.ALVEOLAR
        patches = _patches(torso, grade, share[one], drawn[one])
        fills.append((one, _consolidated(patches, within(CONSOLIDATED, grade, share[one]), drawn[one])))
        lumens = _bronchograms(torso, patches, drawn[one])
    if grade := grades.get(lesions.BRONCHIAL, 0):
        solids[lesions.BRONCHIAL] = _thick_bronchi(torso, grade, share[lesions.BRONCHIAL], drawn[lesions.BRONCHIAL])
    if grade := grades.get(lesions.NODULE, 0):
        solids[lesions.NODULE] = _nodules(torso, grade, share[lesions.NODULE], drawn[lesions.NODULE])
    if grade := grades.get(lesions.EFFUSION, 0):
        one = lesions.EFFUSION
        fills.append((one, _fluid(torso, within(FLUID, grade, share[one]), posture, drawn[one])))
    if grade := grades.get(lesions.PNEUMOTHORAX, 0):
        one = lesions.PNEUMOTHORAX
        gap, lost = within(FREE_AIR, grade, share[one]), within(COLLAPSE, grade, share[one])
        fills.append((one, _free_air(gap, lost, posture, drawn[one])))
    wall: tuple[Solid, ...] = ()
    if cardiac.gullet is not None:
        line, radii = cardiac.gullet
        fills.append((lesions.OESOPHAGUS, _gullet(line[::3], radii[::3], drawn[lesions.OESOPHAGUS])))
        wall = (tube(line, radii + 0.04, Tissue.FLESH, lumen=0.92),)
    chest = cardiac.chest

    def breath(lungs: Lungs) -> Breath:
        samples = lungs.samples
        heart = heart_depth(chest, samples)
        whole = lung_share(lungs.cavity, heart, samples)
        whole *= lungs.body
        sick = _Sick(lungs=lungs, depth=np.minimum(lungs.cavity, -heart), whole=whole, lung=whole)
        air = whole * np.float32(1 - chest.lung_density)
        traces: dict[str, Plane] = {}
        for concept, fill in fills:
            air, mark = fill(sick, air)
            traces[concept] = samples.along(mark)
        heart_plane = samples.along(filled(heart, max(0.12, samples.step)))
        return Breath(air=samples.along(air), lung=samples.along(sick.lung), heart=heart_plane, traces=traces)

    return ChestDisease(
        breath=breath,
        lung_density=chest.lung_density,
        solids=solids,
        lumens=lumens,
        wall=wall,
        reticule=reticule,
        grain=grain,
        blur=blur,
    )


def within_lung(disease: ChestDisease, frame: Frame, lung: Plane, traces: dict[str, Plane], grain: Plane) -> Plane:
    """Tissue that what is finer than the sampled grid adds, in units; its marks join the traces.

    lung: (rows, columns) of the ailing animal; grain: white noise of a finding's own.
    """
    added = np.zeros_like(lung)
    open_share = np.float32(1 - disease.lung_density)
    for concept, solids in disease.solids.items():
        shape = np.minimum(_drawn(solids, frame), np.float32(0.9) * lung)
        traces[concept] = traces.get(concept, 0) + np.maximum(shape, 0)
        added += open_share * shape
    if disease.reticule:
        fine, coarse = (gaussian_filter(grain, sigma * frame.pixels_per_unit, truncate=2.5) for sigma in disease.grain)
        fine -= coarse
        added += np.sqrt(lung) * fine * np.float32(disease.reticule / (fine.std() + 1e-9))
    if disease.lumens:
        added -= np.minimum(_drawn(disease.lumens, frame), np.float32(0.5) * traces[lesions.ALVEOLAR])
    if disease.wall:
        added += np.minimum(_drawn(disease.wall, frame), np.float32(0.4) * (lung + traces[lesions.OESOPHAGUS]))
    return added


def _drawn(solids: tuple[Solid, ...], frame: Frame) -> Plane:
    layers = {tissue: np.zeros((frame.rows, frame.columns), np.float32) for tissue in Tissue}
    for solid in solids:
        add(layers, frame, solid)
    return np.asarray(layers[Tissue.MEDIASTINUM] + layers[Tissue.FLESH], dtype=np.float32)


def _waves(samples: Samples, rng: np.random.Generator, size: float) -> Depths:
    """An uneven field about 0, within ±1: a sum of waves of about this length in vertebrae."""
    total = np.zeros((1, 1, 1), np.float32)
    for _ in range(3):
        way = rng.normal(size=3)
        way *= 2 * np.pi / (size * rng.uniform(0.7, 1.4) * np.linalg.norm(way))
        phase = samples.x * np.float32(way[0]) + samples.y * np.float32(way[1]) + samples.z * np.float32(way[2])
        total = total + np.sin(phase + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.asarray(total / np.float32(3), dtype=np.float32)


def _haze(torso: Torso, share: float, rng: np.random.Generator) -> Fill:
    """Everywhere, or more of it caudodorsally, as in oedema."""
    caudal = float(rng.uniform(0.0, 0.6))
    middle = float(torso.chest.carina[0])

    def fill(sick: _Sick, air: Depths) -> tuple[Depths, Depths]:
        weight = np.float32(1 - caudal) + np.float32(2 * caudal) * np.clip(
            (sick.lungs.samples.x - np.float32(middle)) * np.float32(0.25) + np.float32(0.3), 0, 1
        )
        return air * (np.float32(1) - np.minimum(np.float32(share) * weight, np.float32(0.75))), sick.lung

    return fill


def _patches(torso: Torso, grade: int, share: float, rng: np.random.Generator) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Ellipsoids: cranioventral as in aspiration, of the right middle lobe, or caudodorsal as in oedema. A graver pattern
    holds the milder one's patches, larger."""
    way, chest, cage = rng.choice(3, p=(0.45, 0.2, 0.35)), torso.chest, torso.cage
    middle = float(chest.carina[0])
    ranges = (
        ((middle - 2.4, middle + 1.6), (0.5, 0.82), rng.choice((-1.0, 1.0))),
        ((middle + 0.2, middle + 2.2), (0.5, 0.78), -1.0),
        ((middle + 1.8, max(chest.diaphragm[0] - 2.2, middle + 2.4)), (0.2, 0.5), rng.choice((-1.0, 1.0))),
    )[way]
    patches = []
    for i in range(4):
        x, high = rng.uniform(*ranges[0]), rng.uniform(*ranges[1])
        side = ranges[2] * (-1 if i in (1, 3) and way != 1 else 1)
        at = np.array([x, torso.column.y(x) + high * cage.bottom(x), side * rng.uniform(0.4, 0.75) * cage.width(x)])
        stretch = rng.uniform(0.8, 1.3, 3)
        radius = within(PATCH_RADIUS, grade, share) * (0.17 * torso.build.chest_depth + rng.uniform(-0.1, 0.1))
        patches.append((at, np.diag(radius * stretch)))
    return tuple(patches[: (1, 2, 4)[grade - 1]])


def _consolidated(patches: tuple[tuple[FloatArray, FloatArray], ...], share: float, rng: np.random.Generator) -> Fill:
    def fill(sick: _Sick, air: Depths) -> tuple[Depths, Depths]:
        samples = sick.lungs.samples
        depth = in_ellipsoid(samples, *patches[0])
        for patch in patches[1:]:
            depth = np.maximum(depth, in_ellipsoid(samples, *patch))
        depth += np.float32(0.3) * uneven(samples)
        weight = filled(depth, 0.7) * np.float32(share)
        mark = weight * sick.whole
        sick.lung = sick.lung * (1 - weight)
        return air * (1 - weight), mark

    seed = int(rng.integers(2**31))

    def uneven(samples: Samples) -> Depths:
        return _waves(samples, np.random.default_rng(seed), 1.3)

    return fill


def _bronchograms(
    torso: Torso, patches: tuple[tuple[FloatArray, FloatArray], ...], rng: np.random.Generator
) -> tuple[Solid, ...]:
    """Bronchi that stay open run from the hilus through each patch, and divide."""
    solids: list[Solid] = []
    thick = 1.2 / torso.build.unit_mm
    for centre, axes in patches:
        towards = centre - torso.chest.carina
        towards = towards / np.linalg.norm(towards)
        reach = float(np.linalg.norm(axes, axis=1).mean())
        for _ in range(3):
            start = centre - towards * reach * rng.uniform(0.8, 1.2) + rng.normal(0, 0.2, 3)
            end = centre + towards * reach * rng.uniform(0.3, 0.9) + rng.normal(0, 0.45 * reach, 3)
            radius = thick * rng.uniform(0.9, 1.8)
            solids.append(tube(points(start, (start + end) / 2, end), (radius, 0.7 * radius, 0.35 * radius), Tissue.FLESH))
    return tuple(solids)


def _thick_bronchi(torso: Torso, grade: int, share: float, rng: np.random.Generator) -> tuple[Solid, ...]:
    """Rings where they run along the ray, tram lines where they cross it."""
    chest, cage = torso.chest, torso.cage
    unit = max(torso.build.unit_mm, 18.0)  # the millimetres are those of larger dogs
    wall = within(WALL_MM, grade, share) / unit
    solids: list[Solid] = []
    for _ in range(round(within(BRONCHI, grade, share))):
        caudal = rng.random() < 0.7
        x = rng.uniform(chest.carina[0] + 0.3, chest.diaphragm[0] - 0.6) if caudal else rng.uniform(-2.2, chest.carina[0])
        side = rng.choice((-1.0, 1.0))
        high = rng.uniform(0.14, 0.8)
        at = np.array([x, torso.column.y(x) + high * cage.bottom(x), side * rng.uniform(0.2, 0.85) * cage.width(x)])
        outwards = at - chest.carina
        away = float(np.linalg.norm(outwards))
        way = outwards / away + rng.normal(0, 0.55, 3)
        way /= np.linalg.norm(way)
        lumen = max(1.8 - 0.2 * away, 0.7) * rng.uniform(0.7, 1.2) / unit * (1 + 0.1 * grade)
        outer = lumen + wall
        half = way * rng.uniform(0.25, 0.8)
        solids.append(tube(points(at - half, at + half), outer, Tissue.FLESH, lumen=lumen / outer, lumen_weight=-0.25))
    return tuple(solids)


def _nodules(torso: Torso, grade: int, share: float, rng: np.random.Generator) -> tuple[Solid, ...]:
    """One small nodule; one or several; a mass. They lie in lung, beside the heart where there is room, and mostly in the
    caudal lobes (Alexander 2012)."""
    largest = max(within(NODULE_MM, grade, share) / torso.build.unit_mm, (0.5, 0.85, 1.7)[grade - 1]) / 2
    count = int(rng.choice(((1, 1, 2), (1, 2, 3, 5), (1,))[grade - 1]))
    chest, cage, column = torso.chest, torso.cage, torso.column
    x = rng.uniform(chest.carina[0] - (0.3 if rng.random() < 0.8 else 2.5), chest.diaphragm[0] - 0.8, 240)
    high, aside = rng.uniform(0.12, 0.8, 240), rng.uniform(0.25, 0.85, 240) * rng.choice((-1.0, 1.0), 240)
    wide = np.array([[cage.width(one), cage.bottom(one), column.y(one)] for one in x])
    at = np.stack([x, wide[:, 2] + high * wide[:, 1], aside * wide[:, 0]], axis=1)
    inside = _depth_at(torso, at)
    over_heart = np.maximum(_heart_at(torso, at * (1, 1, 0)), _heart_at(torso, at * (1, 0, 1) + (0, chest.apex[1] * 0.6, 0)))
    fits = np.flatnonzero((inside > min(0.6 * largest, 0.9)) & (over_heart < 0) & (np.abs(at[:, 2]) > 0.8))
    if len(fits) < count:
        fits = np.argsort(-inside)
    solids: list[Solid] = []
    for i, one in enumerate(fits[:count]):
        radius = largest * (1.0 if i == 0 else rng.uniform(0.55, 1.0))
        solids.append(_ball(at[one], radius, rng))
        for _ in range(0 if radius < 0.5 else 3):  # a mass is lobed
            solids.append(_ball(at[one] + rng.normal(0, 0.4 * radius, 3), radius * rng.uniform(0.6, 0.85), rng))
    return tuple(solids)


def _ball(at: FloatArray, radius: float, rng: np.random.Generator) -> Ellipsoid:
    way = rng.normal(size=3)
    axes = np.diag(radius * rng.uniform(0.88, 1.12, 3)) @ rotation(way / np.linalg.norm(way), rng.uniform(0, np.pi))
    return Ellipsoid(centre=at, axes=axes, tissue=Tissue.MEDIASTINUM)


def _samples_at(at: FloatArray) -> Samples:
    x, y, z = (at[:, i].astype(np.float32)[:, None, None] for i in range(3))
    return Samples(x=x, y=y, z=z, index=table_index(x), step=0.1)


def _depth_at(torso: Torso, at: FloatArray) -> FloatArray:
    samples = _samples_at(at)
    cavity = beside_vessels(torso.chest, samples, lung_depth(torso.chest, torso.column, torso.cage, samples))
    return np.asarray(np.minimum(cavity, -heart_depth(torso.chest, samples))[:, 0, 0], dtype=np.float64)


def _heart_at(torso: Torso, at: FloatArray) -> FloatArray:
    return np.asarray(heart_depth(torso.chest, _samples_at(at))[:, 0, 0], dtype=np.float64)


def _fluid(torso: Torso, gap: float, posture: str, rng: np.random.Generator) -> Fill:
    """Between lung and wall, diaphragm, heart, and into the fissures; below on a lateral, where lungs float up from the
    sternum with scalloped borders, and about the heart in sternal recumbency."""
    phase, length = rng.uniform(0, 6.28), rng.uniform(1.7, 2.8)
    fissures = []
    for x, lean in ((0.4, 0.55), (1.6, -0.2)):
        for side in (-1.0, 1.0):  # those of the two sides do not cover each other
            normal = np.array([np.cos(lean), np.sin(lean), side * rng.uniform(0.15, 0.5)]) + rng.normal(0, 0.15, 3)
            at = beside(torso.chest.carina, x + rng.uniform(-0.4, 0.4), 0.6, side * 1.2)
            fissures.append((at, normal / np.linalg.norm(normal), side))

    def fill(sick: _Sick, air: Depths) -> tuple[Depths, Depths]:
        samples, high = sick.lungs.samples, sick.lungs.high
        if posture == "lateral":
            thick = np.float32(0.35) + np.float32(1.15) * np.clip((high - np.float32(0.3)) * np.float32(1.6), 0, 1)
        elif posture == "dorsoventral":
            thick = np.float32(0.5) + np.float32(1.0) * np.clip((high - np.float32(0.35)) * np.float32(2), 0, 1)
        else:
            thick = np.float32(1.0) - np.float32(0.25) * np.clip(high, 0, 1)
        scallop = np.float32(1) + np.float32(0.3) * np.sin(samples.x * np.float32(6.28 / length) + np.float32(phase))
        below = thick * scallop * np.float32(gap) - sick.depth
        for at, normal, side in fissures:
            away = np.abs(
                sum(
                    (one - np.float32(at[i])) * np.float32(normal[i])
                    for i, one in enumerate((samples.x, samples.y, samples.z))
                )
            )
            wedge = np.float32(0.09 * gap + 0.02) * np.clip(np.float32(1.8) - sick.depth, np.float32(0.3), np.float32(1.8))
            np.maximum(below, np.where(samples.z * np.float32(side) > 0, wedge - away, np.float32(-1)), out=below)
        share = filled(below, max(0.12, samples.step))
        mark = share * sick.whole
        sick.lung = sick.lung * (1 - share)
        return air * (1 - share), mark

    return fill


def _free_air(gap: float, lost: float, posture: str, rng: np.random.Generator) -> Fill:
    """Lungs draw back from the wall on both sides, or mostly on one, and hold less air themselves."""
    one_sided = rng.random() < 0.35
    side = float(rng.choice((-1.0, 1.0)))

    def fill(sick: _Sick, air: Depths) -> tuple[Depths, Depths]:
        samples, high = sick.lungs.samples, sick.lungs.high
        thick = np.float32(0.75) + np.float32(0.5) * np.clip(samples.x * np.float32(0.15), 0, 1)
        if posture == "lateral":  # above the dorsal lobes, and between heart and sternum
            thick = thick + np.float32(0.4) * np.abs(high - np.float32(0.45))
        if one_sided:
            thick = thick * np.where(samples.z * np.float32(side) > 0, np.float32(1.2), np.float32(0.35))
        share = filled(thick * np.float32(gap) - sick.depth, max(0.1, samples.step))
        mark = share * sick.whole
        sick.lung = sick.lung * (1 - share)
        return mark + (1 - share) * air * np.float32(1 - lost), mark

    return fill


def _gullet(line: FloatArray, radii: FloatArray, rng: np.random.Generator) -> Fill:
    """Mostly filled with gas, else with fluid and food that leave some."""
    gas = 1.0 if rng.random() < 0.72 else float(rng.uniform(0.0, 0.4))

    def fill(sick: _Sick, air: Depths) -> tuple[Depths, Depths]:
        samples = sick.lungs.samples
        depth = in_cone(samples, line[0], line[1], (radii[0], radii[1]))
        for i in range(1, len(line) - 1):
            depth = np.maximum(depth, in_cone(samples, line[i], line[i + 1], (radii[i], radii[i + 1])))
        share = filled(depth, max(0.12, samples.step))
        share *= sick.lungs.body
        sick.lung = sick.lung * (1 - share)
        return air * (1 - share) + share * np.float32(gas), share

    return fill
