"""What every exported network has in common: its operators, its input, and that nothing changed on the way."""

from __future__ import annotations

import onnx

from domain.errors import HoundsfieldError

OPSET = 18
INPUT = "image"
PARITY = 1e-4  # absolute, on maps and probabilities; points are in pixels and get a hundred times that


class ParityLost(HoundsfieldError):
    """ONNX Runtime and PyTorch answer differently. The file must not be shipped."""


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, which name files of the machine that it ran on."""
    model.doc_string = ""
    del model.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model
