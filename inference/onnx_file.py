"""What an ONNX file says of itself, read before anything runs it: its opset, its operators, and weights that lie elsewhere.

ONNX Runtime does not tell the first, opens the last from wherever a file points to, and the onnx package belongs to training
alone; so the few fields of onnx.proto that matter are read by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

# Field numbers of onnx.proto
_MODEL_GRAPH, _MODEL_OPSET_IMPORT, _MODEL_FUNCTIONS = 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES = (
    *(5, 6, 10, 11, 22, 23),
)
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN = 1, 7, 10
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types
_DEEPEST = 32  # graphs within graphs; those of networks are two or three deep

Operator = tuple[str, str]  # domain ("" for ONNX's own), name


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """opset: of the default domain, None where there is none. operators: all that its nodes name, without those that it
    defines itself. external_data: whether weights lie in other files."""

    opset: int | None
    operators: frozenset[Operator]
    external_data: bool

    @property
    def unknown_operators(self) -> list[str]:
        """Those that ONNX Runtime does not know; no library of operators is ever loaded for a model."""
        return sorted(f"{domain}.{name}" if domain else name for domain, name in self.operators - _known())


def read_onnx(model: bytes) -> OnnxFile:
    """ValueError when the bytes are no ONNX model."""
    seen = _Seen()
    opset = None
    defined: set[Operator] = set()
    try:
        for number, content in _fields(memoryview(model)):
            if isinstance(content, int):
                continue
            if number == _MODEL_OPSET_IMPORT:
                imported = dict(_fields(content))
                if _text(imported.get(_OPSET_DOMAIN)) in ("", "ai.onnx"):
                    version = imported.get(_OPSET_VERSION)
                    opset = version if isinstance(version, int) else None
            elif number == _MODEL_GRAPH:
                seen.graph(content, 0)
            elif number == _MODEL_FUNCTIONS:
                defined.add(seen.function(content))
    except IndexError as error:
        raise ValueError("cut short") from error
    return OnnxFile(opset=opset, operators=frozenset(seen.operators - defined), external_data=seen.external_data)


@cache
def _known() -> frozenset[Operator]:
    return frozenset((_domain(schema.domain), schema.name) for schema in get_all_operator_schema())


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


class _Seen:
    """What a walk over the nodes of all graphs has come across."""

    def __init__(self) -> None:
        self.operators: set[Operator] = set()
        self.external_data = False

    def graph(self, message: memoryview, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("graphs are nested too deeply")
        for number, content in _fields(message):
            if isinstance(content, int):
                continue
            if number == _GRAPH_NODE:
                self._node(content, depth)
            elif number == _GRAPH_INITIALIZER:
                self._tensor(content)
            elif number == _GRAPH_SPARSE:
                self._sparse(content)

    def function(self, message: memoryview) -> Operator:
        name = domain = ""
        for number, content in _fields(message):
            if isinstance(content, int):
                continue
            if number == _FUNCTION_NAME:
                name = _text(content)
            elif number == _FUNCTION_DOMAIN:
                domain = _domain(_text(content))
            elif number == _FUNCTION_NODE:
                self._node(content, 0)
        return domain, name

    def _node(self, message: memoryview, depth: int) -> None:
        name = domain = ""
        for number, content in _fields(message):
            if isinstance(content, int):
                continue
            if number == _NODE_OPERATOR:
                name = _text(content)
            elif number == _NODE_DOMAIN:
                domain = _domain(_text(content))
            elif number == _NODE_ATTRIBUTE:
                self._attribute(content, depth)
        self.operators.add((domain, name))

    def _attribute(self, message: memoryview, depth: int) -> None:
        for number, content in _fields(message):
            if isinstance(content, int):
                continue
            if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                self._tensor(content)
            elif number in (_ATTRIBUTE_SPARSE, _ATTRIBUTE_SPARSES):
                self._sparse(content)
            elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                self.graph(content, depth + 1)

    def _sparse(self, message: memoryview) -> None:
        for number, content in _fields(message):
            if number in (_SPARSE_VALUES, _SPARSE_INDICES) and not isinstance(content, int):
                self._tensor(content)

    def _tensor(self, message: memoryview) -> None:
        for number, content in _fields(message):
            if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and content != 0):
                self.external_data = True


def _text(content: int | memoryview | None) -> str:
    return bytes(content).decode("utf-8", "replace") if isinstance(content, memoryview) else ""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and contents of a protobuf message. IndexError or ValueError when the bytes are none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if key & 7 == _LENGTH:
            length, at = _varint(message, at)
        elif key & 7 in (_FIXED32, _FIXED64):
            length = 4 if key & 7 == _FIXED32 else 8
        else:
            raise ValueError("not a protobuf message")
        if at + length > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        value |= (message[at] & 0x7F) << shift
        at += 1
        if not message[at - 1] & 0x80:
            return value, at
        shift += 7
    raise ValueError("not a varint")
