"""At the start: does the ledger know every file, and is every file there that it knows?

A file without a row was never acknowledged, but it is whole: it is taken in as if it had just come. A row without a file is
an acknowledged image that is gone: an alarm, until the file is back.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from pydicom import dcmread

from config.settings import Settings
from delivery.part10 import identify
from domain.errors import DataSetUnusable
from domain.types import AlarmKind, InstanceRef, Received
from ledger import alarms, images
from node.pipeline import Pipeline
from scp.header import read_identifiers

log = structlog.get_logger()


def sweep(pipeline: Pipeline) -> None:
    """Listeners of other machines may be receiving meanwhile: what both take in is one image all the same."""
    with pipeline.ledger.reading() as tx:
        known = images.files(tx)
    for path in pipeline.spool.files():
        if path not in known:
            _take_in(pipeline, path)
    _tell(pipeline, {path: image for path, image in known.items() if not path.is_file()})


def _take_in(pipeline: Pipeline, path: Path) -> None:
    try:
        received = _read(path, pipeline.settings)
    except DataSetUnusable as error:
        log.error("a spooled file without a row is no image; it is left where it is", file=path.name, reason=str(error))
        return
    pipeline.receive(received)
    log.warning("took in a spooled file that the ledger did not know", file=path.name)


def _read(path: Path, settings: Settings) -> Received:
    """As its console sent it, as far as the file says. DataSetUnusable when it names no image."""
    file = identify(path)
    content = path.read_bytes()
    data_set = content[file.offset :]
    identifiers = read_identifiers(data_set, file.transfer_syntax_uid)
    meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
    calling_ae = str(meta.get("SourceApplicationEntityTitle", "") or "")
    # The file does not say from which host it came: where several senders share a title, none is assumed.
    senders = [each for each in settings.modality if each.ae_title == calling_ae]
    sender = senders[0] if len(senders) == 1 else None
    return Received(
        ref=InstanceRef(sop_class_uid=identifiers.sop_class_uid, sop_instance_uid=identifiers.sop_instance_uid),
        study_instance_uid=identifiers.study_instance_uid,
        series_instance_uid=identifiers.series_instance_uid,
        transfer_syntax_uid=file.transfer_syntax_uid,
        calling_ae=calling_ae,
        called_ae=settings.node.ae_title,
        peer_host="",
        modality="" if sender is None else sender.name,
        part10_header=content[: file.offset],
        data_set=data_set,
        urgent=identifiers.urgent or (sender is not None and sender.urgent),
    )


def _tell(pipeline: Pipeline, missing: dict[Path, int]) -> None:
    """Of what the ledger still knows: a study may have been deleted with its files while the others were looked at."""
    with pipeline.ledger.transaction() as tx:
        known = images.files(tx) if missing else {}
        missing = {path: image for path, image in missing.items() if known.get(path) == image and not path.is_file()}
        gone = {str(image) for image in missing.values()}
        for alarm in alarms.open_alarms(tx):
            if alarm.kind is AlarmKind.MISSING_FILE and alarm.key not in gone:
                alarms.clear(tx, alarm.kind, alarm.key)  # it is back
        for path, image in missing.items():
            said = (
                f"image {image} was acknowledged and its file {path.name} is gone: restore it from a backup or send it again"
            )
            alarms.raise_(tx, AlarmKind.MISSING_FILE, str(image), said)
    if missing:
        log.error("files of acknowledged images are gone", images=len(missing))
