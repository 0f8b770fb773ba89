"""What is to be learnt: `task.toml`, and the recipe of one network that may learn it.

docs/learning.md explains every key to the people who write one; `learn task` writes one from what a collection holds.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from domain import codes
from domain.errors import HoundsfieldError
from domain.types import Region, Species, View
from inference.manifest import Concept, Input, MeasureRequest, Percent, Text
from inference.measuring import missing_landmarks
from inference.triage import same_view
from metalearner.collection import Case, Collection, Labels

FORMAT = 1
RUN = "run.json"
STRIDE = 4  # pixels of the input per pixel of a network's maps
INPUT = "image"
_MULTIPLE = 32  # of rows and columns: the networks halve their maps five times

Kind = Literal["classification", "landmarks", "boxes", "masks", "findings"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Family = Literal["densenet", "efficientnet", "unet"]
Size = Literal["small", "medium", "large"]
Loss = Literal["bce", "focal", "asymmetric"]
Side = Annotated[int, Field(ge=_MULTIPLE, le=2048, multiple_of=_MULTIPLE)]
Share = Annotated[float, Field(ge=0, le=1)]


class TaskInvalid(HoundsfieldError):
    """A task, or what it asks of a collection, cannot be learnt; the sentence names the key or what is missing."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Planes(Section):
    """How images are laid on the network's input, as `[input]` of a package says it. sizes: rows and columns."""

    sizes: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)] = ((192, 224), (256, 320))
    fit: Literal["letterbox", "crop", "squash"] = "letterbox"
    low_percent: Percent = 0.5
    high_percent: Percent = 99.5


class Search(Section):
    """What may be tried, and how long. steps: of one trial at most; final_share: of the minutes, for the picked trial."""

    families: Annotated[tuple[Family, ...], Field(min_length=1)] = ("densenet", "efficientnet", "unet")
    widths: Annotated[tuple[Size, ...], Field(min_length=1)] = ("small", "medium")
    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = ("bce", "focal", "asymmetric")
    trials: Annotated[int, Field(ge=1)] = 8
    steps: Annotated[int, Field(ge=1)] = 2000
    batch: Annotated[int, Field(ge=2, le=512)] = 16
    final_share: Share = 0.4
    most_latency_ms: Annotated[float, Field(gt=0)] | None = None


class Augmentation(Section):
    """The most that may happen to an image; a trial's strengths take a share of it. mirror: only where no side matters."""

    turn_degrees: Annotated[float, Field(ge=0, le=180)] = 10.0
    zoom: Share = 0.15
    shift: Share = 0.06
    mirror: bool = False


class Task(Section):
    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    kind: Kind
    concepts: tuple[Concept, ...] = ()
    points: tuple[Text, ...] = ()
    concept: Concept | None = None  # of bare landmarks, where nothing is measured
    measurement: tuple[MeasureRequest, ...] = ()
    regions: tuple[Region, ...] = ()
    views: tuple[View, ...] = ()
    species: tuple[Species, ...] = ()
    input: Planes = Planes()
    search: Search = Search()
    augmentation: Augmentation = Augmentation()

    @field_validator("concepts", mode="before")
    @classmethod
    def _by_value(cls, given: Any) -> Any:
        """A code value alone is enough for the findings that Houndsfield knows."""
        return [_known(one) if isinstance(one, str) else one for one in given] if isinstance(given, list | tuple) else given

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if self.kind == "landmarks":
            if not self.points or self.concepts:
                raise ValueError("a task of landmarks names points, and no concepts")
            if (self.concept is None) == (not self.measurement):
                raise ValueError("either a concept or a measurement says what the landmarks are for")
            for request in self.measurement:
                missing = missing_landmarks(request.measure, self.points)
                if missing:
                    raise ValueError(f"measure {request.measure} needs the landmark {missing[0]}")
        elif not self.concepts or self.points or self.concept is not None or self.measurement:
            raise ValueError(f"a task of {self.kind} names concepts, and neither points nor measures")
        names = [*self.points, *self.values]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is named twice")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """The code values of its concepts."""
        return tuple(concept.value for concept in self.concepts)

    @property
    def names(self) -> tuple[str, ...]:
        """What quality is told of: concepts or points."""
        return self.points or self.values

    def is_for(self, case: Case) -> bool:
        """Whether a case may be learnt from: what its header does not say contradicts nothing, as in the node."""
        if case.declined:
            return False
        views = {given.value for given in View if any(same_view(given, one) for one in self.views)}
        asked = ((case.region, {*self.regions}), (case.view, views), (case.species, {*self.species}))
        return all(not said or not wanted or said in wanted for said, wanted in asked)

    def input_of(self, rows: int, columns: int) -> Input:
        planes = self.input
        return Input(
            name=INPUT,
            rows=rows,
            columns=columns,
            fit=planes.fit,
            low_percent=planes.low_percent,
            high_percent=planes.high_percent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One network and how it is taught; what a trial of the search decides. geometry, grays: shares of the augmentation."""

    family: Family = "densenet"
    width: Size = "small"
    rows: int = 256
    columns: int = 320
    loss: Loss = "bce"
    rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    geometry: float = 0.7
    grays: float = 0.7
    batch: int = 16

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Recipe:
        return cls(**{field.name: said[field.name] for field in fields(cls)})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def first_recipe(task: Task) -> Recipe:
    """What a search begins with: the first of every choice."""
    rows, columns = task.input.sizes[0]
    wanted = task.search
    return Recipe(
        family=wanted.families[0],
        width=wanted.widths[0],
        rows=rows,
        columns=columns,
        loss=wanted.losses[0],
        batch=wanted.batch,
    )


def load_task(path: Path) -> Task:
    """TaskInvalid names the key."""
    try:
        return Task.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TaskInvalid(f"{path.name} cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskInvalid(f"{path.name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        said = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise TaskInvalid(f"{path.name}{', ' + key if key else ''}: {said}") from error


def load_run(run: Path) -> tuple[Task, Recipe, Path]:
    """What a finished run was for, what was taught, and its weights. TaskInvalid where it is not finished."""
    said = load_run_record(run)
    try:
        return Task.model_validate(said["task"]), Recipe.from_json(said["recipe"]), run / said["weights"]
    except (ValueError, LookupError, TypeError) as error:
        raise TaskInvalid(f"{run / RUN} is not what this version of `learn train` writes") from error


def load_run_record(run: Path) -> dict[str, Any]:
    """run.json. TaskInvalid where the run is not finished."""
    try:
        said = json.loads((run / RUN).read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskInvalid(f"{run} holds no finished training, it has no {RUN}; go on with `learn train`") from error
    except ValueError as error:
        raise TaskInvalid(f"{run / RUN} is no JSON") from error
    return dict(said)


def as_kind(said: str) -> Kind | None:
    """None for nothing said. TaskInvalid for a kind that there is not."""
    if said and said not in KINDS:
        raise TaskInvalid(f"a kind of task is {', '.join(KINDS)}, not {said}")
    return KINDS[KINDS.index(said)] if said else None


def write_json(path: Path, content: Any) -> None:
    """Whole or as it was before."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def _known(value: str) -> dict[str, str]:
    term = next((term for term in codes.FINDINGS if term.code.value == value), None)
    if term is None:
        said = f'{{ value = "{value}", scheme = "{codes.PRIVATE_SCHEME}", meaning = "…" }}'
        raise ValueError(f"{value} is no finding that Houndsfield knows; say what it is: {said}")
    return {"value": term.code.value, "scheme": term.code.scheme, "meaning": term.code.meaning}


def draft(collection: Collection, *, kind: Kind | None = None, name: str = "", least: int = 5) -> str:
    """A commented task.toml of what a collection holds. Concepts need `least` images with and as many without the finding.

    TaskInvalid where there is nothing of that kind to learn.
    """
    truths = [collection.truth(case.image) for case in collection.usable]
    kind = kind or _kind_of(truths)
    asked = _asked_of(truths, kind, least=least)
    lines = [
        f"# What to learn from the collection {collection.name}. Every key: docs/learning.md",
        f"format = {FORMAT}",
        f"name = {json.dumps(name or collection.name.lower().replace('_', '-'))}",
        f"kind = {json.dumps(kind)}   # classification | landmarks | boxes | masks | findings (classification with regions)",
        *asked,
        "",
        "# Where the model will be valid: images that contradict are neither learnt from nor, in the node, read.",
        *(f"{key} = {_listed(collection, field)}" for key, field in _LIMITS),
        "",
        "[input]",
        "sizes = [[192, 224], [256, 320]]   # rows and columns to choose from, multiples of 32; fewer pixels are faster",
        "",
        "[search]",
        'families = ["densenet", "efficientnet", "unet"]',
        'widths = ["small", "medium"]       # and "large"',
        "trials = 8                         # in the minutes that `learn train` is given",
        "",
        "[augmentation]",
        "mirror = false                     # true only where left and right mean nothing",
        "",
    ]
    return "\n".join(lines)


_LIMITS = (("regions", "region"), ("views", "view"), ("species", "species"))


def _kind_of(truths: list[Labels]) -> Kind:
    if any(truth.classes for truth in truths):
        return "findings" if any(truth.masks for truth in truths) else "classification"
    held: tuple[tuple[Kind, bool], ...] = (
        ("landmarks", any(truth.points for truth in truths)),
        ("masks", any(truth.masks for truth in truths)),
        ("boxes", any(truth.boxes for truth in truths)),
    )
    for kind, has in held:
        if has:
            return kind
    raise TaskInvalid("the collection holds no labels: nothing can be learnt from it")


def _asked_of(truths: list[Labels], kind: Kind, *, least: int) -> list[str]:
    if kind == "landmarks":
        counts = Counter(name for truth in truths for name in truth.points)
        if not counts:
            raise TaskInvalid("the collection holds no points")
        concept = f'{{ value = "LANDMARKS", scheme = "{codes.PRIVATE_SCHEME}", meaning = "Landmarks" }}'
        points = [f"    {json.dumps(point)},   # in {count} images" for point, count in counts.items()]
        return ["points = [", *points, "]", f"concept = {concept}   # or [[measurement]] with measure = …"]
    present: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for truth in truths:
        shown = {mask.concept for mask in truth.masks} | {box.concept for box in truth.boxes}
        present.update({concept for concept, value in truth.classes.items() if value >= 0.5} | shown)
        absent.update({concept for concept, value in truth.classes.items() if value < 0.5} - shown)
    lines = []
    for concept in sorted(present | absent):
        said = f"in {present[concept]} images, not in {absent[concept]}"
        enough = present[concept] >= least and (absent[concept] >= least or kind in ("boxes", "masks"))
        lines.append(f"    {_as_concept(concept)},   # {said}" if enough else f"    # too few to learn: {concept}, {said}")
    if not any(not line.lstrip().startswith("#") for line in lines):
        raise TaskInvalid(f"no concept has {least} images with it and {least} without it")
    return ["concepts = [", *lines, "]"]


def _as_concept(value: str) -> str:
    if any(term.code.value == value for term in codes.FINDINGS):
        return json.dumps(value)
    return (
        f'{{ value = {json.dumps(value)}, scheme = "{codes.PRIVATE_SCHEME}", meaning = {json.dumps(value.capitalize())} }}'
    )


def _listed(collection: Collection, field: str) -> str:
    return json.dumps(sorted({str(getattr(case, field)) for case in collection.usable} - {""}))
