"""Rays through a body: the thickness of soft tissue and of bone behind every pixel, in body units.

The beam is parallel. Chords of tubes and ellipsoids are analytic; a tube that runs along the ray counts at most four times
its diameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phantoms.anatomy import Body
from phantoms.heart import Heart
from phantoms.solids import Ellipsoid, FloatArray, Piece, Solid, Tissue, Tube, VertebralBody
from phantoms.thorax import Lung

Plane = npt.NDArray[np.float32]
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the film is. view: (2, 3) body to plane; matrix: (2, 2) and offset: (2,) plane to pixels; ray: (3,).

    u, v: (rows, columns) plane coordinates of the pixels' centres.
    """

    rows: int
    columns: int
    view: FloatArray
    matrix: FloatArray
    offset: FloatArray
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)

    @property
    def ray(self) -> FloatArray:
        return np.cross(self.view[0], self.view[1])

    @property
    def pixels_per_unit(self) -> float:
        (a, b), (c, d) = self.matrix.tolist()
        return float(abs(a * d - b * c) ** 0.5)

    def to_plane(self, at: FloatArray) -> FloatArray:
        """(n, 2) or (n, 3) body points to plane; two coordinates are x and y, on the sagittal plane."""
        at = np.atleast_2d(at)
        return at @ self.view[:, : at.shape[1]].T

    def to_pixels(self, at: FloatArray) -> FloatArray:
        """Body points to (column, row) from the outer corner of the first pixel."""
        return self.to_plane(at) @ self.matrix.T + self.offset

    def box(self, at_plane: FloatArray, reach: float) -> Box | None:
        """Pixels within `reach` units of any of the points, or None outside the film."""
        at = at_plane @ self.matrix.T + self.offset
        (left, top), (right, bottom) = at.min(axis=0).tolist(), at.max(axis=0).tolist()
        return self._box(left, top, right, bottom, reach * self.pixels_per_unit * 1.15 + 2)

    def boxes(self, at_plane: FloatArray, reaches: FloatArray) -> list[Box | None]:
        """The box of each pair of neighbouring points; reaches: (n,), of each point."""
        at = at_plane @ self.matrix.T + self.offset
        ends = np.concatenate([np.minimum(at[:-1], at[1:]), np.maximum(at[:-1], at[1:])], axis=1).tolist()
        margins = (np.maximum(reaches[:-1], reaches[1:]) * self.pixels_per_unit * 1.15 + 2).tolist()
        return [self._box(a, b, c, d, margin) for (a, b, c, d), margin in zip(ends, margins, strict=True)]

    def _box(self, left: float, top: float, right: float, bottom: float, margin: float) -> Box | None:
        first_row, first_column = max(0, int(top - margin)), max(0, int(left - margin))
        last_row, last_column = min(self.rows, int(bottom + margin) + 1), min(self.columns, int(right + margin) + 1)
        if last_column <= first_column or last_row <= first_row:
            return None
        return slice(first_row, last_row), slice(first_column, last_column)


def make_frame(rows: int, columns: int, view: FloatArray, matrix: FloatArray, offset: FloatArray) -> Frame:
    column, row = np.meshgrid(np.arange(columns) + 0.5 - offset[0], np.arange(rows) + 0.5 - offset[1])
    inverse = np.linalg.inv(matrix).astype(np.float32)
    column, row = column.astype(np.float32), row.astype(np.float32)
    return Frame(
        rows=rows,
        columns=columns,
        view=view,
        matrix=matrix,
        offset=offset,
        u=inverse[0, 0] * column + inverse[0, 1] * row,
        v=inverse[1, 0] * column + inverse[1, 1] * row,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thickness:
    """soft and bone: (rows, columns) in units of a vertebra; heart: bool mask of the cardiac silhouette."""

    soft: Plane
    bone: Plane
    heart: npt.NDArray[np.bool_]


def project(body: Body, frame: Frame, *, from_side: bool) -> Thickness:
    trunk, left, right = _fields(body, frame, from_side=from_side)
    air = np.minimum(left + right, trunk * np.float32(0.93))
    layers = {tissue: np.zeros((frame.rows, frame.columns), np.float32) for tissue in Tissue}
    heart = _heart_from_side(body.heart, frame) if from_side else _heart_from_below(body, frame)
    layers[Tissue.MEDIASTINUM] += heart
    for solid in body.solids:
        add(layers, frame, solid)
    filled = np.float32(1 - body.thorax.density)
    mediastinum = layers[Tissue.MEDIASTINUM]
    shown = np.minimum(mediastinum, np.maximum(air, mediastinum * np.float32(0.55)))
    soft = trunk - air * filled
    soft += shown * filled * np.float32(body.mediastinal_density)
    soft += np.minimum(layers[Tissue.VESSEL], air) * filled
    soft += layers[Tissue.FLESH] - layers[Tissue.GAS]
    return Thickness(soft=np.maximum(soft, 0), bone=layers[Tissue.BONE], heart=heart > 0)


def project_solids(solids: tuple[Solid, ...], frame: Frame) -> Thickness:
    """Solids in air: a limb."""
    layers = {tissue: np.zeros((frame.rows, frame.columns), np.float32) for tissue in Tissue}
    for solid in solids:
        add(layers, frame, solid)
    soft = np.maximum(layers[Tissue.FLESH] - layers[Tissue.GAS], 0)
    return Thickness(soft=soft, bone=layers[Tissue.BONE], heart=np.zeros(soft.shape, bool))


def add(layers: dict[Tissue, Plane], frame: Frame, solid: Solid) -> None:
    if isinstance(solid, VertebralBody):
        drawn = vertebral_chord(frame, solid)
        if drawn is not None:
            layers[Tissue.BONE][drawn[0]] += drawn[1]
        return
    if isinstance(solid, Tube):
        drawn = tube_chord(frame, solid)
    else:
        drawn = piece_chord(frame, solid) if isinstance(solid, Piece) else ellipsoid_chord(frame, solid)
    if drawn is None:
        return
    layer, (box, chord) = layers[solid.tissue], drawn
    if solid.tissue is Tissue.MEDIASTINUM:
        np.maximum(layer[box], chord, out=layer[box])
    else:
        layer[box] += chord


def tube_chord(frame: Frame, tube: Tube) -> tuple[Box, Plane] | None:
    at, radii = frame.to_plane(tube.points), tube.radii
    whole = frame.box(at, float(radii.max()))
    if whole is None:
        return None
    top, left = whole[0].start, whole[1].start
    outer = np.zeros((whole[0].stop - top, whole[1].stop - left), np.float32)
    inner = np.zeros_like(outer) if tube.lumen else outer
    for i, box in enumerate(frame.boxes(at, radii)):
        if box is None:
            continue
        step = at[i + 1] - at[i]
        squared = float(step @ step)
        solid_length = float(np.linalg.norm(tube.points[i + 1] - tube.points[i]))
        stretch = np.float32(2 * min(solid_length / max(np.sqrt(squared), 1e-6), 4.0))
        du, dv = frame.u[box] - np.float32(at[i, 0]), frame.v[box] - np.float32(at[i, 1])
        share = (du * np.float32(step[0]) + dv * np.float32(step[1])) * np.float32(1 / (squared + 1e-9))
        np.clip(share, 0, 1, out=share)
        du -= share * np.float32(step[0])
        dv -= share * np.float32(step[1])
        away = du * du + dv * dv
        radius = np.float32(radii[i]) + share * np.float32(radii[i + 1] - radii[i])
        local = (slice(box[0].start - top, box[0].stop - top), slice(box[1].start - left, box[1].stop - left))
        radius *= radius
        chord = stretch * np.sqrt(np.maximum(radius - away, 0))
        np.maximum(outer[local], chord, out=outer[local])
        if tube.lumen:
            chord = stretch * np.sqrt(np.maximum(radius * np.float32(tube.lumen**2) - away, 0))
            np.maximum(inner[local], chord, out=inner[local])
    if tube.lumen:
        outer += inner * np.float32(tube.lumen_weight / tube.weight - 1)
    outer *= np.float32(tube.weight)
    return whole, outer


def piece_chord(frame: Frame, piece: Piece) -> tuple[Box, Plane] | None:
    """Of each ray's way through the tube, the share on the piece's side of the break.

    The way's middle lies in the plane through the tube's axis, and half its length on either side.
    """
    drawn = tube_chord(frame, piece.whole)
    if drawn is None:
        return None
    box, chord = drawn
    at = frame.to_plane(piece.at)[0]
    du, dv = frame.u[box] - np.float32(at[0]), frame.v[box] - np.float32(at[1])
    normal = piece.normal @ frame.view.T
    depth = float(piece.normal @ frame.ray)
    radius = float(piece.whole.radii.max())
    away = np.float32(normal[0]) * du + np.float32(normal[1]) * dv
    across = (np.float32(normal[1]) * du - np.float32(normal[0]) * dv) * np.float32(1 / radius)
    for wave, phase in zip((2.3, 5.1, 11.0), piece.phases, strict=True):
        away += np.float32(piece.jag * 2 / wave) * np.sin(np.float32(wave) * across + np.float32(phase))
    reach = np.float32(abs(depth) * radius) + np.float32(0.5 / frame.pixels_per_unit)
    chord = chord * np.clip(away / (2 * reach) + np.float32(0.5), 0, 1)
    return box, chord


def ellipsoid_chord(frame: Frame, solid: Ellipsoid) -> tuple[Box, Plane] | None:
    centre = frame.to_plane(solid.centre)
    reach = float(np.linalg.norm(solid.axes, axis=1).max())
    box = frame.box(centre, reach)
    if box is None or reach < 1e-3:
        return None
    lengths = np.maximum(np.linalg.norm(solid.axes, axis=1), 1e-3)
    # Rows that map a body point to the unit sphere; then |a + t b|² = 1 along the ray.
    to_sphere = solid.axes / np.linalg.norm(solid.axes, axis=1, keepdims=True).clip(1e-9) / lengths[:, None]
    along = to_sphere @ frame.ray
    basis = to_sphere @ np.linalg.pinv(frame.view)
    du, dv = frame.u[box] - np.float32(centre[0, 0]), frame.v[box] - np.float32(centre[0, 1])
    squared = float(along @ along)
    # The quadratic form of the shadow: |a|² - (a·b)²/|b|², with a linear in (du, dv).
    form = basis.T @ (np.eye(3) - np.outer(along, along) / squared) @ basis
    inside = 1 - (np.float32(form[0, 0]) * du * du + np.float32(form[1, 1]) * dv * dv)
    inside -= np.float32(2 * form[0, 1]) * du * dv
    np.maximum(inside, 0, out=inside)
    shape = np.sqrt(inside) if solid.softness == 0.5 else inside ** np.float32(solid.softness)
    shape *= np.float32(solid.weight * 2 / np.sqrt(squared))
    return box, shape


def vertebral_chord(frame: Frame, solid: VertebralBody) -> tuple[Box, Plane] | None:
    ends = frame.to_plane(np.stack([solid.cranial, solid.caudal]))
    axis = ends[1] - ends[0]
    length = float(np.linalg.norm(axis))
    if length < 1e-3:
        return None
    axis = axis / length
    across = np.array([-axis[1], axis[0]])
    across_body = across @ frame.view
    half_height, half_width = solid.height / 2, solid.width / 2
    lateral = np.cross(solid.dorsal, (solid.caudal - solid.cranial) / np.linalg.norm(solid.caudal - solid.cranial))
    half = float(np.hypot(half_height * (across_body @ solid.dorsal), half_width * (across_body @ lateral)))
    deep = half_height * half_width / half * 2
    box = frame.box(ends, half)
    if box is None:
        return None
    middle = ends.mean(axis=0)
    du, dv = frame.u[box] - np.float32(middle[0]), frame.v[box] - np.float32(middle[1])
    a = np.abs(du * np.float32(axis[0]) + dv * np.float32(axis[1]))
    b = np.abs(du * np.float32(across[0]) + dv * np.float32(across[1]))
    half_length = np.float32(length / 2)
    waisted = np.float32(half) * (1 - np.float32(0.16) * np.clip(1 - (a / half_length) ** 2, 0, 1))
    edge = np.float32(1 / 0.04)
    within_ends = np.clip((half_length - a) * edge + np.float32(0.5), 0, 1)
    within_sides = np.clip((waisted - b) * edge + np.float32(0.5), 0, 1)
    core = np.sqrt(np.clip(1 - (b / (waisted * np.float32(1.25))) ** 2, 0, 1)) * np.float32(deep * solid.weight)
    endplate = np.exp(-(((a - half_length + np.float32(0.04)) / np.float32(0.035)) ** 2))
    cortex = np.exp(-(((b - waisted + np.float32(0.03)) / np.float32(0.03)) ** 2))
    chord = core * within_ends * within_sides
    chord += np.float32(0.28 * solid.cortex) * endplate * within_sides
    chord += np.float32(0.22 * solid.cortex) * cortex * within_ends
    return box, chord


def _fields(body: Body, frame: Frame, *, from_side: bool) -> tuple[Plane, Plane, Plane]:
    thorax = body.thorax
    if not from_side:
        z, x = frame.u, frame.v
        trunk = thorax.trunk.from_below(z, x, thorax.chest, thorax.depth)
        left = thorax.left_lung.from_below(z, x, thorax.chest, thorax.depth) * (z > 0)
        right = thorax.right_lung.from_below(z, x, thorax.chest, thorax.depth) * (z <= 0)
        return trunk, left, right
    x, y = frame.u, frame.v
    spine_y = np.interp(x, body.spine.edges[:, 0], body.spine.edges[:, 1]).astype(np.float32)
    sternum_y = thorax.sternum.y(x)

    def lung(one: Lung) -> Plane:
        return one.from_side(x, y, spine_y, sternum_y)

    return thorax.trunk.from_side(x, y, spine_y, sternum_y), lung(thorax.left_lung), lung(thorax.right_lung)


def _heart_from_side(heart: Heart, frame: Frame) -> Plane:
    shape = heart.silhouette
    du, dv = frame.u - np.float32(shape.carina[0]), frame.v - np.float32(shape.carina[1])
    share = (du * np.float32(shape.direction[0]) + dv * np.float32(shape.direction[1])) / np.float32(shape.length)
    across = du * np.float32(shape.normal[0]) + dv * np.float32(shape.normal[1])
    cranial = np.interp(share, shape.shares, shape.cranial * shape.length, left=0, right=0).astype(np.float32)
    caudal = np.interp(share, shape.shares, shape.caudal * shape.length, left=0, right=0).astype(np.float32)
    half = (cranial + caudal) / 2 + np.float32(1e-6)
    offset = (across - (caudal - cranial) / 2) / half
    relative = np.clip(2 * half / np.float32(shape.width), 0, 1)
    depth = np.float32(heart.thickness) * relative ** np.float32(0.7) * np.sqrt(np.maximum(1 - offset * offset, 0))
    depth *= np.clip((share + np.float32(0.01)) / np.float32(0.2), 0, 1) ** np.float32(0.7)
    return np.where((share >= 0) & (share <= 1), depth, np.float32(0))


def _heart_from_below(body: Body, frame: Frame) -> Plane:
    """An ellipsoid on the same axis, its apex to the left."""
    shape = body.heart.silhouette
    along = np.append(shape.direction * 0.9, 0.35)
    along /= np.linalg.norm(along)
    across = np.append(shape.normal, 0.0)
    sideways = np.cross(along, across)
    axes = np.stack([along * shape.length / 2, across * shape.width / 2, sideways * body.heart.thickness / 2])
    middle = np.append(shape.carina + shape.direction * shape.length / 2, 0.2)
    solid = Ellipsoid(centre=middle, axes=axes, tissue=Tissue.MEDIASTINUM)
    shadow = np.zeros((frame.rows, frame.columns), np.float32)
    drawn = ellipsoid_chord(frame, solid)
    if drawn is not None:
        shadow[drawn[0]] = drawn[1]
    return shadow
