"""What `learn` needs beside the product itself, and what to say where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import HoundsfieldError

_EXTRA = frozenset(
    "defusedxml dicomanonymizer jinja2 matplotlib monai onnx onnxscript optuna pycocotools sklearn torch".split()  # noqa: SIM905
)


class ExtraMissing(HoundsfieldError):
    """A person installs the extra."""


@contextmanager
def train_extra() -> Iterator[None]:
    """Around imports and work that need it: ExtraMissing instead of a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        said = f"{missing} is not installed: this part of `learn` needs pip install 'houndsfield[train]'"
        raise ExtraMissing(said) from error
