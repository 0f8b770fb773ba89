"""What can be radiographed: the body behind each region and view, where it is looked at from, what a film of it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from domain.types import Code, Region, Species, View
from phantoms.build import L7, S1, Build, draw_build
from phantoms.chest import Breath, Lungs
from phantoms.chest_findings import ChestDisease
from phantoms.field import Depths, Samples, filled, in_cone, joined
from phantoms.lesions import Lesion
from phantoms.limbs import Axes, Limb, axes_from, forelimb, hindlimb
from phantoms.skull import draw_skull
from phantoms.solids import FloatArray, Solid, Tissue, points, tube
from phantoms.torso import Posture, Soft, Torso, draw_torso, soft_tissue

HEAD_LEFT = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # right of the picture: caudal; below: ventral
HEAD_UP = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # the animal's left; caudal
FROM_FRONT = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])  # of a limb: lateral of a left one; distal


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A posed body before a film.

    view: (2, 3) orthonormal, body to film as it hangs on a viewer: head to the left, or up; proximal up. whole: (n, 3), what
    an uncropped film holds. near, far: where along the ray tissue lies. landmarks: (n, 3) by name. orientation: what lies
    to the right of and below the picture (PS3.3 C.7.6.1.1.1). grid: soft tissue is sampled on so many rays along the film's
    shorter side, at so many depths; mottle: how uneven lung may be at most. heart: its ellipsoids where its score is known,
    spine: the cranial edges from T4 on that it is counted along. hips: which of the two, right and left, have an angle that
    is known. ailing: None for an animal of which no findings are drawn.
    """

    build: Build
    view: FloatArray
    whole: FloatArray
    near: float
    far: float
    solids: tuple[Solid, ...] = field(repr=False)
    soft: Callable[[Samples], Soft] = field(repr=False)
    landmarks: dict[str, FloatArray] = field(repr=False)
    orientation: tuple[str, str]
    grid: tuple[int, int] = (104, 36)
    mottle: float = 0.05
    spine: FloatArray | None = field(default=None, repr=False)
    heart: tuple[tuple[FloatArray, FloatArray], ...] = field(default=(), repr=False)
    hips: tuple[int, ...] = ()
    limb: Limb | None = field(default=None, repr=False)
    ailing: Ailing | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A finding and where it shows. solids: whose shadow it is; none where sums along the rays tell, see `chest.Breath`."""

    lesion: Lesion
    site: Code | None = None
    solids: tuple[Solid, ...] = field(default=(), repr=False)
    laterality: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """What a scene becomes with its findings. solids: the same objects as the scene's where nothing has changed.

    chest: what is laid into the lungs; soft: the flesh, where it differs from the scene's.
    """

    solids: tuple[Solid, ...] = field(repr=False)
    marks: tuple[Mark, ...] = ()
    chest: ChestDisease | None = field(default=None, repr=False)
    soft: Callable[[Samples], Soft] | None = field(default=None, repr=False)


def draw_scene(seed: int, region: Region, view: View, species: Species, part: str) -> Scene:
    """ValueError where no such film is taken. part: which joint or bone a limb's film shows, see `PARTS`."""
    build = draw_build(seed, species)
    lateral = posture_of(view) == "lateral"
    if region in (Region.THORAX, Region.ABDOMEN, Region.PELVIS):
        posture = posture_of(view)
        return of_torso(draw_torso(build, posture), region, posture)
    if region is Region.HEAD:
        return _of_head(build, lateral=lateral)
    if region is Region.LIMB:
        return _of_limb(build, part, lateral=lateral)
    raise ValueError(f"no phantom shows {region.value}, {view.value}")


def posture_of(view: View) -> Posture:
    if view in (View.LATERAL, View.RIGHT_LATERAL, View.LEFT_LATERAL, View.MEDIOLATERAL):
        return "lateral"
    return "dorsoventral" if view is View.DORSOVENTRAL else "ventrodorsal"


# Which ends of which limb a film of the part holds: limb, from and to as (joint, share of the way to the next one).
PARTS = ("stifle", "femur", "tibia", "tarsus", "humerus", "elbow", "radius", "carpus", "hindpaw")
HIND = {"stifle", "femur", "tibia", "tarsus", "hindpaw"}


def of_torso(torso: Torso, region: Region, posture: Posture, disease: Callable[[Lungs], Breath] | None = None) -> Scene:
    """disease: what becomes of the lungs, see `torso.soft_tissue`."""
    build, column, cage = torso.build, torso.column, torso.cage
    wide = torso.cage.width(5.0)

    def ring(x: float, top: float, bottom: float, half: float) -> list[list[float]]:
        y = column.y(x)
        return [[x, y + top, 0], [x, y + bottom, 0], [x, y + 0.5 * bottom, half], [x, y + 0.5 * bottom, -half]]

    if region is Region.THORAX:
        first, last = -2.6, max(torso.chest.diaphragm[0] + 0.3, 9.0)
        whole = ring(first, -0.5, cage.bottom(first), 1.5) + ring(5.0, -0.8, cage.bottom(5.0) + 0.4, wide)
        whole += ring(last, -0.5, 1.0, wide)
    elif region is Region.ABDOMEN:
        first, last = torso.chest.diaphragm[1] + 0.5, float(torso.pelvis.hips[0, 0])
        whole = ring(first, -0.5, cage.bottom(first), wide) + ring((first + last) / 2, -0.6, torso.bottom(14.0), wide)
        whole += ring(last, -0.5, 3.5, 2.0)
    else:
        hips, pelvis = torso.pelvis.hips, torso.pelvis
        reach = 0.25 if posture == "lateral" else 0.55
        knees = [hip + reach * (limb.joints["stifle"] - hip) for hip, limb in zip(hips, torso.limbs[1::2], strict=True)]
        whole = [
            *pelvis.crest.tolist(),
            *pelvis.tuber.tolist(),
            *(knee.tolist() for knee in knees),
            column.edge(L7).tolist(),
        ]
    shown = np.array(whole, dtype=np.float64)
    view = HEAD_LEFT if posture == "lateral" else HEAD_UP
    if posture == "lateral":
        near, far = -wide - 2.6, wide + 2.6
    else:
        near, far = -4.5, float(build.chest_depth) + 3.5
    with_limbs = (1, 3) if region is Region.PELVIS else (0, 2) if region is Region.THORAX else (1, 3)

    def soft(samples: Samples) -> Soft:
        with_chest = region is not Region.PELVIS
        return soft_tissue(torso, samples, with_chest=with_chest, with_limbs=with_limbs, disease=disease)

    chest, hips = torso.chest, torso.pelvis.hips
    landmarks = {
        "carina": chest.carina[None],
        "apex": chest.apex[None],
        "vertebrae": np.stack([column.edge(number) for number in range(-3, S1 + 1)]),
        "femoral-heads": hips,
    }
    return Scene(
        build=build,
        view=view,
        whole=shown,
        near=near,
        far=far,
        solids=torso.solids,
        soft=soft,
        landmarks=landmarks,
        orientation=("CD", "V") if posture == "lateral" else ("LE", "CD"),
        spine=np.stack([column.edge(number) for number in range(14)]),
    )


def _of_head(build: Build, *, lateral: bool) -> Scene:
    rng = np.random.default_rng([build.seed, 24])
    head = draw_skull(build, rng)
    wide = build.skull * 0.6
    whole = np.array([head.joints["nose"], head.joints["occiput"], head.joints["jaw"], (0, 0, wide), (0, 0, -wide)])
    return Scene(
        build=build,
        view=HEAD_LEFT if lateral else HEAD_UP,
        whole=whole,
        near=-build.skull,
        far=build.skull,
        solids=head.solids,
        soft=flesh_of(head, density=0.95),
        landmarks={name: at[None] for name, at in head.joints.items()},
        orientation=("CD", "V") if lateral else ("LE", "CD"),
    )


def _of_limb(build: Build, part: str, *, lateral: bool) -> Scene:
    rng = np.random.default_rng([build.seed, 25, PARTS.index(part)])
    uniform = rng.uniform
    side = float(rng.choice([-1.0, 1.0]))
    bend = uniform(0.3, 1.7) if lateral else uniform(0.02, 0.35)
    hind = part in HIND
    lean = {
        "stifle": 0.5,
        "tibia": 0.9,
        "femur": 0.1,
        "tarsus": 1.0,
        "hindpaw": 1.0,
        "elbow": -0.5,
        "radius": -0.95,
        "carpus": -1.0,
    }
    turn = bend * lean.get(part, -0.1) if lateral else 0.0
    distal = np.array([-np.sin(turn), np.cos(turn), uniform(-0.08, 0.08)])
    start = axes_from(np.zeros(3), distal, np.array([0.0, 0.0, side]), build.femur if hind else build.humerus)
    if hind:
        hock = uniform(0.3, 1.4) if lateral else uniform(0.0, 0.2)
        limb = hindlimb(build, start, (bend, hock), rng)
        joints = [limb.joints[name] for name in ("hip", "stifle", "hock", "toes")]
        spans = {
            "stifle": (0.62, 1.4),
            "femur": (0.0, 1.08),
            "tibia": (0.93, 2.06),
            "tarsus": (1.75, 2.55),
            "hindpaw": (1.95, 3.0),
        }
    else:
        limb = forelimb(build, start, (bend, uniform(-0.15, 0.3)), rng, scapula=None)
        joints = [limb.joints[name] for name in ("shoulder", "elbow", "carpus", "toes")]
        spans = {"humerus": (0.0, 1.1), "elbow": (0.62, 1.4), "radius": (0.92, 2.1), "carpus": (1.8, 3.0)}
    first, last = spans[part]
    chain = np.array(joints)

    def along(share: float) -> FloatArray:
        i = min(int(share), len(chain) - 2)
        return np.asarray(chain[i] + (share - i) * (chain[i + 1] - chain[i]))

    girth = 0.12 * build.femur * (0.6 if part in ("tarsus", "carpus", "hindpaw") else 1.0)
    line = np.array([along(share) for share in np.linspace(first, last, 5)])
    whole = np.concatenate([line + girth * np.array(step) for step in ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1))])
    solids = limb.solids
    if rng.random() < 0.12:
        solids = (*solids, *_implant(start if hind and first < 1 else _between(along(first), along(last), start), rng))
    view = HEAD_LEFT.copy() if lateral else FROM_FRONT.copy()
    if not lateral and rng.random() < 0.5:
        view[0] *= -1  # the other leg, or the other face of it
    middle = along((first + last) / 2)
    depth = float(middle @ np.cross(view[0], view[1]))
    return Scene(
        build=build,
        view=view,
        whole=whole,
        near=depth - 0.6 * build.femur,
        far=depth + 0.6 * build.femur,
        solids=solids,
        soft=flesh_of(limb, density=1.0),
        landmarks={name: at[None] for name, at in limb.joints.items()},
        orientation=("CD" if lateral else "L" if view[0, 2] * side > 0 else "M", "DI"),
        limb=limb,
    )


def _between(start: FloatArray, end: FloatArray, like: Axes) -> Axes:
    return axes_from(start, end - start, like.lateral, float(np.linalg.norm(end - start)))


def _implant(bone: Axes, rng: np.random.Generator) -> list[Solid]:
    """A plate with its screws, or pins: steel beside the shaft."""
    begin, end = sorted(rng.uniform(0.2, 0.9, 2))
    if rng.random() < 0.4:
        return [bone.rod([(begin - 0.1, 0.02, 0.1), (end + 0.1, 0, 0.09)], (0.007, 0.007), 10.0)]
    plate = bone.rod([(begin, 0.03, 0.14), (end, 0.03, 0.14)], (0.015, 0.015), 8.0)
    screws = [
        bone.rod([(at, 0.03, 0.15), (at, 0.02, 0.07)], (0.011, 0.008), 8.0) for at in np.arange(begin + 0.02, end, 0.07)
    ]
    return [plate, *screws]


def flesh_of(limb: Limb, *, density: float) -> Callable[[Samples], Soft]:
    def soft(samples: Samples) -> Soft:
        depth: Depths | None = None
        for start, end, radii in limb.flesh:
            part = in_cone(samples, start, end, radii)
            depth = part if depth is None else joined(depth, part, 0.4)
        assert depth is not None  # noqa: S101  # every limb has flesh
        edge = max(0.1, samples.step)
        tissue = filled(depth, edge) * np.float32(density)
        tissue *= np.float32(0.85) + np.float32(0.15) * filled(depth - np.float32(0.25), edge)
        plane = samples.along(tissue)
        return Soft(tissue=plane, lung=np.zeros_like(plane), heart=np.zeros_like(plane))

    return soft


def lines(scene: Scene, rng: np.random.Generator) -> list[Solid]:
    """What lies on or in an animal on the table: leads, drips, tubes, collars."""
    solids: list[Solid] = []
    low, high = scene.whole.min(axis=0), scene.whole.max(axis=0)
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.25 else 0):
        path = rng.uniform(low - 2, high + 2, (3, 3))
        t = np.linspace(0, 1, 12)[:, None]
        smooth = path[0] * (1 - t) ** 2 + 2 * path[1] * t * (1 - t) + path[2] * t**2
        radius = rng.uniform(0.03, 0.14)
        hollow = 0.7 if rng.random() < 0.5 else 0.0
        solids.append(tube(smooth, radius, Tissue.BONE, weight=rng.uniform(0.5, 5.0), lumen=hollow))
    if rng.random() < 0.04:  # a buckle, a tag, a coin
        at = rng.uniform(low, high)
        solids.append(tube(points(at, at + rng.normal(0, 0.5, 3)), rng.uniform(0.1, 0.4), Tissue.BONE, weight=8.0))
    return solids
