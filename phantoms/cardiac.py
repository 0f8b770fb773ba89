"""A chest whose heart has a vertebral heart score that is known, with its left atrium, airways and oesophagus.

Normal hearts are drawn from Buchanan's dogs, 9.7 ± 0.5 vertebrae, and cats, 7.5 ± 0.3 (PMID 10768239). Cardiomegaly begins
above what most would still call normal: a dog's 10.7 (ROC of stage B, sensitivity 88 %, specificity 83 %) and 11.5 (enlarged
without echocardiography), a cat's 8.0 and 9.3 (Sleeper 2013). The left atrium exceeds the animal's own by what divides the
vertebral left atrial size's median, 1.9, from 2.4, 2.8 and beyond (PMID 32621373; Clinician's Brief). A trachea measures
0.19 ± 0.03 of the thoracic inlet; narrowing follows the four grades of a lost lumen, 25, 50, 75 and 100 % (Tangner and
Hobson 1982).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domain.measures import vertebral_heart_score
from domain.types import Species
from phantoms.axial import Cage, Column
from phantoms.build import Build
from phantoms.chest import Chest
from phantoms.solids import Ellipsoid, FloatArray, Solid, Tissue, Tube, tube

Part = tuple[FloatArray, FloatArray]  # an ellipsoid: centre, axes
SCORES = {  # vertebrae: low and high of mild, moderate, severe
    Species.DOG: ((10.8, 11.5), (11.5, 12.5), (12.5, 14.0)),
    Species.CAT: ((8.3, 9.0), (9.0, 9.8), (9.8, 11.0)),
}
NORMAL = {Species.DOG: (9.7, 0.5, 8.5, 10.4), Species.CAT: (7.5, 0.3, 6.7, 8.0)}  # mean, deviation, low, high
BULGES = ((0.5, 0.9), (0.9, 1.4), (1.4, 2.0))  # vertebrae that the left atrium reaches beyond the normal border
LOST_LUMEN = ((0.28, 0.42), (0.45, 0.65), (0.7, 0.92))  # of the trachea's diameter
FALLS = ((0.15, 0.3), (0.35, 0.6), (0.65, 1.1))  # vertebrae between sternum and heart in pneumothorax, on a lateral
GULLET = ((0.45, 0.62), (0.68, 0.95), (1.0, 1.45))  # radius in vertebrae, of an oesophagus that is normally collapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cardiac:
    """chest: with the heart, airways and lungs as settled; atrium: the left one's ellipsoids where it is enlarged.

    trachea: the narrowed stretch, as a tube of its full width; gullet: points and radii of a dilated oesophagus.
    """

    chest: Chest
    atrium: tuple[Part, ...] = ()
    trachea: tuple[Tube, ...] = ()
    gullet: tuple[FloatArray, FloatArray] | None = None


def within(bounds: tuple[tuple[float, float], ...], grade: int, share: float) -> float:
    """A size by grade, at this share of the grade's range: graver is always more of the same."""
    low, high = bounds[grade - 1]
    return low + share * (high - low)


def settle(build: Build, column: Column, cage: Cage, chest: Chest, grades: dict[str, int], *, lateral: bool) -> Cardiac:
    """grades: of "heart", "atrium", "trachea", "gullet" and "fall", those that ail."""
    rng = np.random.default_rng([build.seed, 29])
    shares = rng.random(8)
    species = build.species
    mean, deviation, low, high = NORMAL[species]
    score = float(np.clip(mean + deviation * rng.normal(), low, high))
    globoid = 0.0
    if "heart" in grades:
        score, globoid = within(SCORES[species], grades["heart"], shares[0]), 0.25 * grades["heart"]
    ratio = rng.uniform(1.1, 1.3)
    lift = 0.14 * grades.get("heart", 0) * (0.8 + 0.4 * shares[1])
    expired = shares[2] < 0.15  # lungs with little air are denser, and no finding
    density = rng.uniform(0.36, 0.46) if expired else rng.uniform(0.22, 0.34)
    sag = max(2 * within(GULLET, grades["gullet"], shares[3]) - 1.2, 0.0) if "gullet" in grades else 0.0
    carina = chest.carina - (0, min(lift, 0.6), 0) + (0, min(0.45 * sag, 0.8), 0)
    heart, apex = _heart(build, column, cage, carina, score, ratio - (ratio - 1.03) * min(globoid, 1), rng)
    atrium: tuple[Part, ...] = ()
    if "atrium" in grades:
        atrium = _atrium(heart, carina, apex, within(BULGES, grades["atrium"], shares[4]), cage)
    fall = within(FALLS, grades["fall"], shares[5]) if "fall" in grades and lateral else 0.0
    moved = tuple((centre - (0, fall, 0), axes) for centre, axes in (*heart, *atrium))
    airway, trachea = _airway(cage, chest, carina, sag, grades.get("trachea", 0), shares[6], rng)
    bronchi = _bronchi(chest.solids[2:6], carina - chest.carina, 0.25 * grades.get("atrium", 0))
    settled = replace(
        chest,
        carina=carina,
        apex=apex - (0, fall, 0),
        heart=moved,
        lung_density=density,
        solids=(*airway, *bronchi, *chest.solids[6:]),
    )
    gullet = None
    if "gullet" in grades:
        gullet = _gullet(column, chest, within(GULLET, grades["gullet"], shares[3]), rng)
    return Cardiac(chest=settled, atrium=moved[len(heart) :], trachea=trachea, gullet=gullet)


def shadow_axes(heart: tuple[Part, ...], carina: FloatArray, view: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Long and short axis, (2, 2) each, of the heart's shadow on a plane; view: (2, 3) body to plane.

    From the carina to the farthest point, and the widest chord across that (Buchanan and Bücheler 1995).
    """
    base = view @ carina
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    middles = [view @ centre for centre, _ in heart]
    forms = [view @ axes.T @ axes @ view.T for _, axes in heart]
    rims = np.concatenate(
        [middle + (np.linalg.cholesky(form) @ circle).T for middle, form in zip(middles, forms, strict=True)]
    )
    apex = rims[np.argmax(np.linalg.norm(rims - base, axis=1))]
    length = float(np.linalg.norm(apex - base))
    along = (apex - base) / length
    across = np.array([along[1], -along[0]])
    levels = np.linspace(0.1, 0.9, 121) * length
    low, high = np.full(len(levels), np.inf), np.full(len(levels), -np.inf)
    for middle, form in zip(middles, forms, strict=True):
        tt, to, oo = along @ form @ along, along @ form @ across, across @ form @ across
        share = (levels - (middle - base) @ along) / np.sqrt(tt)
        half = np.sqrt(np.maximum(oo - to**2 / tt, 0)) * np.sqrt(np.maximum(1 - share**2, 0))
        centre = (middle - base) @ across + to / np.sqrt(tt) * share
        inside = np.abs(share) < 1
        low = np.where(inside, np.minimum(low, centre - half), low)
        high = np.where(inside, np.maximum(high, centre + half), high)
    widest = int(np.argmax(np.where(np.isfinite(low), high - low, -np.inf)))
    foot = base + levels[widest] * along
    return np.stack([base, apex]), np.stack([foot + low[widest] * across, foot + high[widest] * across])


def heart_score(heart: tuple[Part, ...], carina: FloatArray, spine: FloatArray, view: FloatArray) -> float:
    """The vertebral heart score of the heart's shadow. spine: (n, 3) cranial edges of T4, …"""
    long_axis, short_axis = shadow_axes(heart, carina, view)
    edges = spine @ view.T
    return vertebral_heart_score(
        long_axis_length=float(np.linalg.norm(long_axis[1] - long_axis[0])),
        short_axis_length=float(np.linalg.norm(short_axis[1] - short_axis[0])),
        vertebral_edges=edges,
    ).total


SAGITTAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def _heart(
    build: Build, column: Column, cage: Cage, carina: FloatArray, score: float, ratio: float, rng: np.random.Generator
) -> tuple[tuple[Part, ...], FloatArray]:
    """The drawn shape, scaled until its score is the wanted one; a heart too long for the chest leans back."""
    sideways, thick = rng.uniform(0.08, 0.42), rng.uniform(0.8, 1.0)
    spine = np.stack([column.edge(number) for number in range(14)])
    length = 0.55 * score
    parts: tuple[Part, ...] = ()
    apex = carina
    for _ in range(6):
        lean = build.heart_lean
        while lean < 1.0 and carina[1] + length * np.cos(lean) > _floor(column, cage, carina[0] + length * np.sin(lean)):
            lean += 0.02
        parts, apex = _shape(carina, lean, sideways, length, length / ratio, thick)
        length *= score / heart_score(parts, carina, spine, SAGITTAL)
    return parts, apex


def _floor(column: Column, cage: Cage, x: float) -> float:
    return column.y(x) + 0.97 * cage.bottom(x)


def _shape(
    carina: FloatArray, lean: float, sideways: float, length: float, width: float, thick: float
) -> tuple[tuple[Part, ...], FloatArray]:
    """As `chest.draw_chest` has it: the ventricles, the base with its atria and vessels' roots, the right ventricle."""
    axis = np.array([np.sin(lean), np.cos(lean), sideways])
    axis /= np.linalg.norm(axis)
    across = np.array([axis[1], -axis[0], 0.0]) / np.hypot(axis[0], axis[1])
    broad = np.cross(axis, across)
    deep = width * thick
    middle = carina + axis * length * 0.5 - np.array([0, 0, 0.1 * width])
    return (
        (middle, np.stack([axis * length * 0.5, across * width * 0.5, broad * deep * 0.5])),
        (
            carina + axis * length * 0.3 - across * 0.1 * width,
            np.stack([axis * length * 0.3, across * width * 0.42, broad * deep * 0.46]),
        ),
        (
            middle - across * 0.12 * width - np.array([0, 0, 0.16 * deep]),
            np.stack([axis * length * 0.38, across * width * 0.36, broad * deep * 0.42]),
        ),
    ), carina + axis * length


def _atrium(heart: tuple[Part, ...], carina: FloatArray, apex: FloatArray, bulge: float, cage: Cage) -> tuple[Part, ...]:
    """Beyond the caudodorsal border; from below, over the base, its auricle at the left border."""
    axis = (apex - carina) / np.linalg.norm(apex - carina)
    across = np.array([axis[1], -axis[0], 0.0]) / np.hypot(axis[0], axis[1])
    towards = 0.6 * axis + 0.8 * across
    width = 2 * float(np.linalg.norm(heart[0][1][1]))
    # How far the normal border lies that way, in the sagittal plane: where the line leaves the last ellipsoid.
    reach = 0.0
    for centre, axes in heart[:2]:
        lengths = np.linalg.norm(axes, axis=1)
        frame = axes / lengths[:, None] ** 2
        a, b = frame @ towards, frame @ (carina - centre)
        root = (a @ b) ** 2 - (a @ a) * (b @ b - 1)
        if root > 0:
            reach = max(reach, float((-(a @ b) + np.sqrt(root)) / (a @ a)))
    radius = 0.3 * width + 0.3 * bulge
    centre = carina + towards * (reach + bulge - radius)
    ball = np.stack([axis * radius * 0.9, across * radius, np.array([0.0, 0.0, 0.3 * width + 0.35 * bulge])])
    small = 0.16 * width + 0.22 * bulge
    left = min(0.4 * width + 0.25 * bulge, 0.9 * cage.width(float(carina[0]) + 0.8) - small)
    auricle = carina + 0.3 * (apex - carina) + np.array([0.1, 0.0, left])
    return (centre, ball), (auricle, np.eye(3) * small)


def _airway(
    cage: Cage, chest: Chest, carina: FloatArray, sag: float, grade: int, share: float, rng: np.random.Generator
) -> tuple[list[Solid], tuple[Tube, ...]]:
    """The trachea, from the neck to the carina; where it is narrowed, and how wide it would be there."""
    old = chest.solids[0]
    assert isinstance(old, Tube)  # noqa: S101  # `draw_chest` begins with it
    inlet = 0.88 * cage.bottom(-3.2)
    radius = 0.5 * inlet * float(np.clip(rng.normal(0.19, 0.022), 0.155, 0.24))
    end = carina - (0, 0.2, 0)
    knots = np.concatenate([old.points[:-1], end[None]])
    line = _smooth(knots, 40)
    into_chest = np.clip((line[:, 0] + 4) / (end[0] + 4), 0, 1)
    line[:, 1] += 0.35 * sag * np.sin(np.pi * into_chest) ** 2  # pushed down by what lies above it
    air, wall = rng.uniform(0.9, 1.05), rng.uniform(0.45, 0.8)
    middle, half = rng.uniform(-2.0, float(end[0]) - 0.6), rng.uniform(0.8, 1.8)
    everywhere = rng.random() < 0.25  # a trachea too small from end to end
    open_share, stretch = np.ones(len(line)), np.zeros(len(line), bool)
    if grade:
        lost = within(LOST_LUMEN, grade, share)
        ramp = np.ones(len(line)) if everywhere else np.exp(-(np.abs((line[:, 0] - middle) / half) ** 4))
        open_share, stretch = 1 - lost * ramp, (ramp > 0.5) & (line[:, 0] > -6)
    narrow = radius * open_share
    solids: list[Solid] = [
        tube(line, narrow + 0.2 * radius, Tissue.FLESH, weight=wall, lumen=0.86),
        tube(line, narrow, Tissue.GAS, weight=air),
    ]
    shown = (tube(line[stretch], 1.25 * radius, Tissue.FLESH),) if stretch.sum() > 1 else ()
    return solids, shown


def _smooth(knots: FloatArray, count: int) -> FloatArray:
    """A curve through knots, its corners rounded."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.linspace(0, along[-1], count)
    line = np.stack([np.interp(at, along, knots[:, i]) for i in range(3)], axis=1)
    for _ in range(3):
        line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
    return line


def _bronchi(old: tuple[Solid, ...], shift: FloatArray, lift: float) -> list[Solid]:
    """They follow the carina; a large atrium lifts the left one."""
    solids: list[Solid] = []
    for solid in old:
        assert isinstance(solid, Tube)  # noqa: S101  # `draw_chest` draws tubes
        up = np.array([0.0, lift if solid.points[-1, 2] > 0 else 0.4 * lift, 0.0])
        share = np.linspace(0, 1, len(solid.points))[:, None]
        solids.append(replace(solid, points=solid.points + shift - share * up))
    return solids


def _gullet(column: Column, chest: Chest, radius: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """From the neck, left of the trachea, below the spine to the diaphragm, where it narrows again."""
    dorsal = chest.diaphragm[0]
    x = np.array([-7.0, -4.5, -2.5, 0.5, 3.0, 5.5, dorsal - 1.2, dorsal + 0.6])
    wide = radius * np.array([0.55, 0.6, 0.75, 1.0, 0.95, 1.05, 0.75, 0.25]) * rng.uniform(0.9, 1.1, len(x))
    top = np.array([1.0, 0.9, 0.75, 0.6, 0.65, 0.75, 0.9, 1.3])
    y = np.array([column.y(one) for one in x]) + top + wide
    z = np.array([0.5, 0.4, 0.25, 0.15, 0.2, 0.25, 0.2, 0.1]) * rng.uniform(0.6, 1.4)
    line = _smooth(np.stack([x, y, z], axis=1), 26)
    return line, np.interp(line[:, 0], x, wide)


def as_solids(parts: tuple[Part, ...]) -> tuple[Solid, ...]:
    return tuple(Ellipsoid(centre=centre, axes=axes, tissue=Tissue.MEDIASTINUM) for centre, axes in parts)
