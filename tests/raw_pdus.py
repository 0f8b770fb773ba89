"""PDUs and commands byte by byte, for peers that do not keep to the standard."""

from __future__ import annotations

from struct import pack
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

DX = "1.2.840.10008.5.1.4.1.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
ACCEPT, REJECT, P_DATA, RELEASE, RELEASE_ANSWER, ABORT = 2, 3, 4, 5, 6, 7
RELEASE_REQUEST = pack(">BxI4x", RELEASE, 4)
NO_DATA_SET = 0x0101


def request(calling: bytes = b"DRROOM1", called: bytes = b"HOUNDSFIELD") -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    contexts = [build_context(VERIFICATION, ImplicitVRLittleEndian), build_context(DX, ImplicitVRLittleEndian)]
    contexts[0].context_id, contexts[1].context_id = 1, 3
    primitive.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = "2.25.1"
    primitive.user_information = [length, implementation]
    raw = bytearray(A_ASSOCIATE_RQ(primitive).encode())
    raw[10:26], raw[26:42] = called.ljust(16), calling.ljust(16)
    return bytes(raw)


def implicit(**elements: Any) -> bytes:
    data_set = Dataset()
    for keyword, value in elements.items():
        setattr(data_set, keyword, value)
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = True, True
    write_dataset(target, data_set)
    return target.getvalue()


def command(**elements: Any) -> bytes:
    """A whole P-DATA-TF with a command; group 0000 is written by hand, since pydicom refuses it in a data set."""
    body = b""
    for tag, value in sorted(elements.items()):
        encoded = value if isinstance(value, bytes) else pack("<H", value)
        body += pack("<HHI", 0, int(tag[1:], 16), len(encoded)) + encoded
    return p_data(3, 3, pack("<HHII", 0, 0, 4, len(body)) + body)


def p_data(context_id: int, control: int, data: bytes) -> bytes:
    return pack(">BxIIBB", P_DATA, 6 + len(data), 2 + len(data), context_id, control) + data


def padded(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def store_command(instance: str = "2.25.1001", data_set_type: int = 1, sop_class: str = DX) -> bytes:
    return command(t0002=padded(sop_class), t0100=0x0001, t0110=7, t0700=0, t0800=data_set_type, t1000=padded(instance))


def read_pdu(stream: BinaryIO) -> bytes:
    """A whole PDU, header included."""
    header = stream.read(6)
    return header + stream.read(int.from_bytes(header[2:], "big"))
