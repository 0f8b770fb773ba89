"""Reports and answers as DICOM documents: a Structured Report per model and study, an overlay per image.

Numbers in, objects out: no clock, no randomness, no ledger. The same inputs give the same bytes under the same UID.
"""

from sr_writer.drawing import draw_overlay
from sr_writer.header import Header, read_header
from sr_writer.owner_page import draw_owner_picture, owner_page_series_uid, write_owner_page
from sr_writer.presentation import write_presentation_state
from sr_writer.selection import Rejection, write_rejection, write_result_set
from sr_writer.signed import sign_report
from sr_writer.summary import draw_summary, summary_series_uid, write_summary
from sr_writer.text_report import write_text_report
from sr_writer.write import overlay_series_uid, report_series_uid, write_overlay, write_report

__all__ = [
    "Header",
    "Rejection",
    "draw_overlay",
    "draw_owner_picture",
    "draw_summary",
    "overlay_series_uid",
    "owner_page_series_uid",
    "read_header",
    "report_series_uid",
    "sign_report",
    "summary_series_uid",
    "write_overlay",
    "write_owner_page",
    "write_presentation_state",
    "write_rejection",
    "write_report",
    "write_result_set",
    "write_summary",
    "write_text_report",
]
