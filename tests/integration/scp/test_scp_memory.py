"""What an association took comes back when it has ended."""

from __future__ import annotations

import gc

from peers import wait_until
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from config.settings import Modality, Node
from scp import pdu
from scp.listener import Listener


def test_ended_associations_leave_their_buffers_to_the_next() -> None:
    """pynetdicom's are cycles: what they hold stays until a search for such finds them."""
    listener = Listener(
        node=Node(host="127.0.0.1"),
        modalities=[Modality(name="dr-room-1", ae_title="DRROOM1")],
        receive=lambda _: None,
        refused=lambda _: None,
        port=0,
    )
    entity = AE(ae_title="DRROOM1")
    entity.add_requested_context(Verification)
    with listener:
        pdu._buffers.clear()
        gc.disable()
        try:
            for _ in range(5):
                association = entity.associate("127.0.0.1", listener.port, ae_title="HOUNDSFIELD")
                assert association.is_established
                association.release()
                wait_until(lambda: len(pdu._buffers) == 1, what="one buffer to be free again")
        finally:
            gc.enable()
