"""A limb while findings are worked into it: bones that move with what hangs on them, and the findings in them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from domain.types import Code
from phantoms.lesions import Lesion
from phantoms.limbs import Axes, Limb
from phantoms.scenes import Mark
from phantoms.solids import FloatArray, Solid, moved

STILL = np.eye(3)
HEAD_SHARE = 0.062  # the femoral head's radius over the femur's length


@dataclass(slots=True, kw_only=True)
class Leg:
    """A limb while findings are worked into it. marks: with the bone each one follows."""

    limb: Limb
    unit_mm: float
    side: str
    bones: dict[str, list[Solid]]
    flesh: list[tuple[FloatArray, FloatArray, tuple[float, float]]]
    flesh_of: list[tuple[str, str]]
    axes: dict[str, Axes]
    marks: list[tuple[Lesion, str, tuple[Solid, ...], Code | None]] = field(default_factory=list)

    @property
    def upper(self) -> Axes:
        return self.axes["femur"] if "femur" in self.axes else self.axes["humerus"]

    def move(
        self,
        names: tuple[str, ...],
        shift: FloatArray,
        turn: FloatArray = STILL,
        about: FloatArray | None = None,
        *,
        beyond: FloatArray | None = None,
    ) -> None:
        """Bones, the flesh on them, and the findings in them. beyond: a normal at `about`; flesh on its near side stays."""
        centre = np.zeros(3) if about is None else about

        def to(at: FloatArray) -> FloatArray:
            return np.asarray((at - centre) @ turn.T + centre + shift)

        for name in names:
            if name in self.bones:
                self.bones[name] = [moved(solid, turn, centre, shift) for solid in self.bones[name]]
            if name in self.axes:
                old = self.axes[name]
                self.axes[name] = replace(
                    old,
                    origin=to(old.origin),
                    distal=turn @ old.distal,
                    cranial=turn @ old.cranial,
                    lateral=turn @ old.lateral,
                )
        for i, ((start, end, radii), owners) in enumerate(zip(self.flesh, self.flesh_of, strict=True)):
            ends = [
                to(at) if owner in names and (beyond is None or (at - centre) @ beyond > 0) else at
                for at, owner in zip((start, end), owners, strict=True)
            ]
            self.flesh[i] = (ends[0], ends[1], radii)
        self.marks = [
            (lesion, name, tuple(moved(one, turn, centre, shift) for one in solids) if name in names else solids, site)
            for lesion, name, solids, site in self.marks
        ]

    def cover(self, start: FloatArray, end: FloatArray, radii: tuple[float, float], of: tuple[str, str] = ("", "")) -> None:
        """More flesh. of: whose bones its ends follow."""
        self.flesh.append((start, end, radii))
        self.flesh_of.append(of)

    def mark(self, lesion: Lesion, bone: str, *solids: Solid, site: Code | None = None) -> None:
        self.marks.append((lesion, bone, solids, site))

    def finished(self) -> Limb:
        solids = tuple(solid for bone in self.bones.values() for solid in bone)
        return replace(self.limb, solids=solids, flesh=tuple(self.flesh))

    def shown(self) -> tuple[Mark, ...]:
        """One mark a finding, whatever bones it lies on."""
        merged: dict[Lesion, Mark] = {}
        for lesion, _, solids, site in self.marks:
            before = merged[lesion].solids if lesion in merged else ()
            merged[lesion] = Mark(lesion=lesion, solids=(*before, *solids), laterality=self.side, site=site)
        return tuple(merged.values())


def leg_of(limb: Limb, unit_mm: float, side: str = "") -> Leg:
    bones = {name: list(limb.solids[begin:end]) for name, (begin, end) in limb.parts.items()}
    return Leg(
        limb=limb,
        unit_mm=unit_mm,
        side=side,
        bones=bones,
        flesh=list(limb.flesh),
        flesh_of=list(limb.flesh_of),
        axes=dict(limb.axes),
    )
