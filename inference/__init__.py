"""Reading an image and letting the models that fit it speak: files in, `ImageAnswer` out. Knows no ledger, no settings."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime otherwise reports to its maker, from its import on
