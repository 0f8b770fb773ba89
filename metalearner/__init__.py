"""Where models are made: data sets, training, export to a model package. The only room that imports torch."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime otherwise reports to its maker, from its import on
