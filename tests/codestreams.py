"""Radiographs in every compression but RLE, which `factories` writes: `dx_dataset` with a codestream of imagecodecs.

compressed_file(path, "HTJ2K", pixels=array, bits=12)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from factories import dx_dataset, gradient
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

Pixels = npt.NDArray[Any]

HTJ2K_LOSSLESS = UID("1.2.840.10008.1.2.4.201")
JPEG_PROGRESSIVE = UID("1.2.840.10008.1.2.4.55")

# By name: transfer syntax, bits it is written with here, and how.
WRITERS: dict[str, tuple[str, int, Callable[[Pixels], bytes]]] = {
    "JPEG baseline": ("1.2.840.10008.1.2.4.50", 8, lambda image: _jpeg(image, level=100)),
    "JPEG extended": ("1.2.840.10008.1.2.4.51", 12, lambda image: _jpeg(image, level=100, bitspersample=12)),
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", 14, lambda image: _jpeg(image, lossless=True, bitspersample=14)),
    "JPEG lossless SV1": (
        "1.2.840.10008.1.2.4.70",
        16,
        lambda image: _jpeg(image, lossless=True, predictor=1, bitspersample=16),
    ),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", 12, lambda image: bytes(imagecodecs.jpegls_encode(image))),
    "JPEG-LS near": ("1.2.840.10008.1.2.4.81", 12, lambda image: bytes(imagecodecs.jpegls_encode(image, level=2))),
    "JPEG 2000": ("1.2.840.10008.1.2.4.90", 16, lambda image: _jpeg2000(image, reversible=True, level=0)),
    "JPEG 2000 lossy": ("1.2.840.10008.1.2.4.91", 12, lambda image: _jpeg2000(image, reversible=False, level=100)),
    "HTJ2K": (HTJ2K_LOSSLESS, 16, lambda image: bytes(imagecodecs.htj2k_encode(image))),
}
JPEGS = tuple(name for name in WRITERS if name.startswith("JPEG ") and "2000" not in name)
LOSSLESS = ("JPEG lossless", "JPEG lossless SV1", "JPEG-LS", "JPEG 2000", "HTJ2K")


def compressed_dataset(
    name: str, *, pixels: Pixels | None = None, rows: int = 48, columns: int = 64, **elements: Any
) -> Dataset:
    """pixels: (rows, columns) unsigned, within the writer's bits; a gradient over all of them where none are given."""
    syntax, bits, write = WRITERS[name]
    image = gradient(rows, columns, bits=bits) if pixels is None else pixels
    image = image.astype("u1" if bits == 8 else "<u2")
    ds = dx_dataset(pixels=image, bits=bits, **elements)
    put_codestream(ds, write(image), syntax)
    return ds


def ended_early(name: str) -> Dataset:
    """One of JPEGS with half of its coded data and its end marker: decoders fill up the rest of the image."""
    ds = compressed_dataset(name)
    codestream = next(generate_frames(ds.PixelData, number_of_frames=1)).rstrip(b"\0")
    put_codestream(ds, codestream[: len(codestream) // 2] + codestream[-2:], WRITERS[name][0])
    return ds


def put_codestream(ds: Dataset, codestream: bytes, syntax: str) -> None:
    ds.PixelData = encapsulate([codestream + b"\0" * (len(codestream) % 2)])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(syntax)


def compressed_file(path: Path, name: str, **arguments: Any) -> Path:
    compressed_dataset(name, **arguments).save_as(path, enforce_file_format=True)
    return path


def _jpeg(image: Pixels, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(image), **options))


def _jpeg2000(image: Pixels, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, codecformat="j2k", **options))
