"""Where models are made: data sets, training, export to a model package. The only room that imports torch."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime otherwise reports to its maker, from its import on
# torch's threads else wait for each other by spinning: on a machine with other work a step takes five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
