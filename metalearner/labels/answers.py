"""What veterinarians answered to the models' findings: the ledger's feedback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.types import FindingOutcome
from ledger.feedback import Answer, Feedback, FeedbackRow
from metalearner.labelling import Box, Labels, Mask, Points, finite
from metalearner.labels.said import LabelsInvalid, Said

SOURCE = "veterinarians"
_OPPOSITE = {FindingOutcome.PRESENT: 0.0, FindingOutcome.ABSENT: 1.0}


def read_answers(rows: Iterable[FeedbackRow]) -> list[Said]:
    """One `Said` per answer; "uncertain" says nothing. LabelsInvalid where a correction cannot be read."""
    found = []
    for row in rows:
        given = row.feedback
        try:
            labels = _labels(given)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LabelsInvalid(f"feedback {row.id}: its correction cannot be read") from error
        if labels is not None:
            found.append(Said(labels=labels, place=f"feedback {row.id}", image=given.sop_instance_uid))
    return found


def _labels(given: Feedback) -> Labels | None:
    corrected = given.corrected if given.answer is Answer.CORRECTED else {}
    outcome = _outcome(given, corrected)
    boxes, masks = _shapes(given.concept, corrected.get("regions", ()))
    points = {str(name): (finite(at[0]), finite(at[1])) for name, at in corrected.get("points", {}).items()}
    value = corrected.get("value")
    measures = {} if value is None else {given.concept: finite(value)}
    classes = {} if outcome is None or points or measures else {given.concept: outcome}
    if not (classes or points or measures or boxes or masks):
        return None
    return Labels(
        image="",
        source=SOURCE,
        reader=given.reader,
        classes=classes,
        points=points,
        boxes=boxes,
        masks=masks,
        measures=measures,
    )


def _outcome(given: Feedback, corrected: Mapping[str, Any]) -> float | None:
    """1 present, 0 absent, None unknown."""
    if "outcome" in corrected:
        return {FindingOutcome.PRESENT: 1.0, FindingOutcome.ABSENT: 0.0}.get(FindingOutcome(corrected["outcome"]))
    if corrected.get("regions"):
        return 1.0
    opposite = _OPPOSITE.get(given.shown)
    if opposite is None or given.answer in (Answer.UNCERTAIN, Answer.CORRECTED):
        return None
    return opposite if given.answer is Answer.DISAGREE else 1.0 - opposite


def _shapes(concept: str, regions: Sequence[Mapping[str, Any]]) -> tuple[tuple[Box, ...], tuple[Mask, ...]]:
    """Closed outlines as masks; rectangles parallel to the image's sides as boxes."""
    boxes, masks = [], []
    for region in regions:
        ring: Points = tuple((finite(column), finite(row)) for column, row in region["points"])
        if region["graphic_type"] != "POLYLINE" or len(ring) < 3:
            continue
        ring = ring[:-1] if ring[0] == ring[-1] else ring
        columns, rows = {at[0] for at in ring}, {at[1] for at in ring}
        if len(ring) == 4 and len(columns) == len(rows) == 2:
            boxes.append(Box(concept=concept, left=min(columns), top=min(rows), right=max(columns), bottom=max(rows)))
        else:
            masks.append(Mask(concept=concept, polygons=(ring,)))
    return tuple(boxes), tuple(masks)
