"""A file to a `Radiograph`, whatever the file is: read in a process of its own, so that what breaks it costs one image."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from domain.types import InstanceRef, Radiograph, Species
from inference import header
from inference.decoder import Decoder
from inference.elements import read_meta
from inference.image import NotAnImage

__all__ = ["NotAnImage", "read_radiograph", "read_ref", "warm"]


def read_radiograph(path: Path, *, assumed_species: Species | None) -> Radiograph:
    """The image as a viewer displays it (PS3.4 N.2) and what its header claims.

    assumed_species: of the sender, for a header that names none. NotAnImage for objects that hold no image by their nature;
    ImageUnreadable, with the reason, for everything that cannot be displayed rightly. May be called from several threads.
    """
    return _decoder().read(path, assumed_species=assumed_species)


def warm() -> None:
    """Start the decoder's process now, so that the first image does not wait for it."""
    _decoder().start()


@cache
def _decoder() -> Decoder:
    """One for this process: it ends with it."""
    return Decoder()


def read_ref(path: Path) -> InstanceRef:
    """Who an object is, for one that cannot be read further: from the file meta information; blank where that is broken."""
    try:
        with path.open("rb") as file:
            meta, _ = read_meta(memoryview(file.read(1 << 16)))
    except OSError:
        return InstanceRef(sop_class_uid="", sop_instance_uid="")
    return InstanceRef(
        sop_class_uid=header.text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=header.text(meta, "MediaStorageSOPInstanceUID"),
    )
