"""What decides over an image besides its sender: the room on the disk, and the priority of its order."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import dx_dataset
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from config.settings import Modality, Node
from domain.types import Received
from scp.disk import Watermark
from scp.listener import Listener
from spool import Spool

MODALITY = Modality(name="dr-room-1", ae_title="DRROOM1")
MEGABYTE = 1_000_000


@contextmanager
def sender(
    receive: Callable[[Received], object], *, watermark: Watermark | None = None, modality: Modality = MODALITY
) -> Iterator[Association]:
    """An association with a listener of this watermark."""
    with Listener(
        node=Node(host="127.0.0.1"),
        modalities=[modality],
        receive=lambda received: receive(received) and None,
        refused=lambda _: None,
        port=0,
        watermark=watermark,
    ) as listener:
        ae = AE(ae_title="DRROOM1")
        ae.add_requested_context(image(0).SOPClassUID, image(0).file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", listener.port, ae_title="HOUNDSFIELD")
        try:
            yield association
        finally:
            association.release()


def image(number: int, **elements: object) -> Dataset:
    return dx_dataset(instance=number, rows=10, columns=10, **elements)


def large(number: int, megabytes: int) -> Dataset:
    sent = image(number)
    sent.PixelData = bytes(megabytes * MEGABYTE)
    return sent


def test_an_image_that_would_fill_the_disk_is_refused_and_a_smaller_one_is_taken() -> None:
    free, taken = [0], list[str]()
    watermark = Watermark(Path(), refuse_below_megabytes=10, free_bytes=lambda: free[0])
    with sender(lambda received: taken.append(received.ref.sop_instance_uid), watermark=watermark) as association:
        free[0] = 11 * MEGABYTE
        answer = association.send_c_store(large(1, 1))
        assert (answer.Status, answer.ErrorComment) == (0xA700, "Cannot store now; keep the image and send it again")
        assert association.send_c_store(image(2)).Status == 0x0000
        free[0] = 10 * MEGABYTE
        assert association.send_c_store(image(3)).Status == 0xA700
        assert association.send_c_store(image(4)).Status == 0xA700
        free[0] = 12 * MEGABYTE
        assert association.send_c_store(large(1, 1)).Status == 0x0000
    assert taken == [image(2).SOPInstanceUID, image(1).SOPInstanceUID]


def test_a_disk_that_fills_up_keeps_what_is_below_the_watermark(tmp_path: Path) -> None:
    """A real file system of 12 MB and the real spool."""
    with small_disk(tmp_path, megabytes=12) as disk:
        spool = Spool(disk)
        with sender(spool.add, watermark=Watermark(disk, refuse_below_megabytes=5)) as association:
            statuses = [association.send_c_store(large(number, 2)).Status for number in range(6)]
        assert statuses == [0x0000] * 3 + [0xA700] * 3
        state = os.statvfs(disk)
        assert state.f_bavail * state.f_frsize >= 5 * MEGABYTE
        assert len(list(disk.glob("images/*/*.dcm"))) == 3


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A tmpfs; only root may mount one, so others skip."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "houndsfield-test", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    ("priority", "place", "urgent"), [("STAT", False, True), ("ROUTINE", False, False), ("ROUTINE", True, True)]
)
def test_the_order_or_the_senders_place_makes_an_image_urgent(priority: str, place: bool, urgent: bool) -> None:
    taken: list[bool] = []
    modality = MODALITY.model_copy(update={"urgent": place})
    with sender(lambda received: taken.append(received.urgent), modality=modality) as association:
        assert association.send_c_store(image(1, RequestedProcedurePriority=priority)).Status == 0x0000
    assert taken == [urgent]
