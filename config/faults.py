"""What is wrong with a settings file, all of it at once and by key, and what remains without that."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]

_SECRETS = ("database_url", "broker_url", "url", "username", "password", "token")  # never repeated in an error


def examine(model: type[Model], content: dict[str, Any]) -> tuple[Model, list[str]]:
    """The settings with defaults in place of what is wrong, and every fault, in words that say what would be accepted.

    Some rules are looked at only where each key by itself is right: so what is wrong is taken out, and looked at again.
    """
    left = copy.deepcopy(content)
    # Blocks keep the number that they have in the file.
    numbers = {name: list(range(len(blocks))) for name, blocks in left.items() if isinstance(blocks, list)}
    faults: list[str] = []
    while True:
        try:
            return model.model_validate(left), list(dict.fromkeys(faults))
        except ValidationError as error:
            found = error.errors()
        for item in found:
            faults.append(_fault(model, _numbered(item["loc"], numbers), item["msg"], item.get("input")))
        _take_out(left, numbers, [item["loc"] for item in found])


def _numbered(location: Location, numbers: dict[str, list[int]]) -> Location:
    if len(location) < 2 or not isinstance(location[1], int):
        return location
    return (location[0], numbers[str(location[0])][location[1]], *location[2:])


def _take_out(left: dict[str, Any], numbers: dict[str, list[int]], wrong: Sequence[Location]) -> None:
    """The keys that are wrong; the whole block or section where no single key of it is, or one is missing."""
    keys, blocks, sections = list[tuple[dict[str, Any], str]](), set[tuple[str, int]](), set[str]()
    for location in wrong:
        name, section = str(location[0]), left[str(location[0])]
        if isinstance(section, dict) and len(location) > 1 and location[1] in section:
            keys.append((section, str(location[1])))
        elif isinstance(section, list) and len(location) > 1:
            block = section[int(location[1])]
            if isinstance(block, dict) and len(location) > 2 and location[2] in block:
                keys.append((block, str(location[2])))
            else:
                blocks.add((name, int(location[1])))
        elif isinstance(section, list) and _repeated(section):
            blocks |= {(name, number) for number in _repeated(section)}
        else:
            sections.add(name)
    for where, key in keys:
        where.pop(key, None)
    for name, number in sorted(blocks, reverse=True):
        del left[name][number], numbers[name][number]
    for name in sections:
        del left[name]


def _repeated(blocks: list[Any]) -> list[int]:
    """Those whose name an earlier one has."""
    names = [(block.get("name"), block.get("version")) if isinstance(block, dict) else None for block in blocks]
    return [number for number, name in enumerate(names) if name is not None and name in names[:number]]


def _keys_beside(model: type[BaseModel], location: Location) -> tuple[str, ...]:
    """What the section that holds a key knows."""
    section = model
    for part in location[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            annotation = section.model_fields[part].annotation
            inner = (each for each in (annotation, *get_args(annotation)) if isinstance(each, type))
            section = next((each for each in inner if issubclass(each, BaseModel)), section)
    return tuple(section.model_fields)


def _fault(model: type[BaseModel], location: Location, message: str, given: object) -> str:
    key = ""
    for part in location:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else str(part)
    if message == "Extra inputs are not permitted":
        near = difflib.get_close_matches(str(location[-1]), _keys_beside(model, location), n=1)
        return f"{key}: there is no such key" + (f"; did you mean {near[0]}?" if near else "")
    if message.startswith("Tuple should have at least 1 item"):
        return f"{key}: name at least one, or leave the key out"
    if message == "Input should be a valid tuple" and location[-1] in ("modality", "destination", "notify", "model"):
        return f"{key}: write it with two brackets, [[{key}]]"
    said = message.removeprefix("Value error, ")
    shown = isinstance(given, str | int | float) and location[-1] not in _SECRETS
    return f"{key}: {said}" + (f" (it is {given!r})" if shown else "")
