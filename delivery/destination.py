"""The sender of a destination, by its kind."""

from __future__ import annotations

from config.settings import Destination
from delivery.dicomweb import DicomwebSender
from delivery.dimse import DimseSender
from delivery.folder import FolderSender
from delivery.orthanc import OrthancSender
from delivery.sender import Sender


def sender_for(to: Destination, *, calling_ae: str) -> Sender:
    """`calling_ae`: this node's AE title, for the kind that has such."""
    match to.kind:
        case "dimse":
            return DimseSender(to=to, calling_ae=calling_ae)
        case "orthanc":
            return OrthancSender(to=to)
        case "dicomweb":
            return DicomwebSender(to=to)
        case "folder":
            return FolderSender(to=to)
