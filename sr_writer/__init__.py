"""Reports and answers as DICOM documents: a Structured Report per model and study, an overlay per image.

Numbers in, objects out: no clock, no randomness, no ledger. The same inputs give the same bytes under the same UID.
"""

from sr_writer.drawing import draw_overlay
from sr_writer.header import Header, read_header
from sr_writer.write import overlay_series_uid, report_series_uid, write_overlay, write_report

__all__ = [
    "Header",
    "draw_overlay",
    "overlay_series_uid",
    "read_header",
    "report_series_uid",
    "write_overlay",
    "write_report",
]
