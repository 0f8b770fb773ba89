"""Compressed images without what is written beside their pixels: comments, application data, bytes after the end.

JPEG and JPEG-LS: ISO/IEC 10918-1 B.1.1 and 14495-1 C.1; JPEG 2000: ISO/IEC 15444-1 A.2. Other codes are left as they are.
"""

from __future__ import annotations

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_RESTART = range(0xD0, 0xD8)
_FIRST_MARKER = 0xC0  # below it a byte after FF is stuffed
_SOC, _SOT, _EOC, _J2K_COM = 0x4F, 0x90, 0xD9, 0x64


def without_words(code: bytes) -> bytes:
    """The same pixels, of an even number of bytes. ValueError for a code whose markers do not follow each other."""
    if code[:2] == bytes((0xFF, _SOI)):
        shorter = _jpeg(code)
    elif code[:2] == bytes((0xFF, _SOC)):
        shorter = _jpeg_2000(code)
    else:
        return code
    return shorter + b"\0" * (len(shorter) % 2)


def _jpeg(code: bytes) -> bytes:
    kept, at = [code[:2]], 2
    while at < len(code):
        if code[at] != 0xFF or at + 1 >= len(code):
            raise ValueError("no marker where one is due")
        marker = code[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == _EOI:
            kept.append(code[at : at + 2])
            break
        elif marker in _RESTART or marker == 0x01:
            kept.append(code[at : at + 2])
            at += 2
        else:
            end = _end_of_segment(code, at)
            if marker not in _APPLICATION and marker != _COM:
                kept.append(code[at:end])
            at = end
            if marker == _SOS:
                end = _end_of_scan(code, at)
                kept.append(code[at:end])
                at = end
    return b"".join(kept)


def _end_of_segment(code: bytes, at: int) -> int:
    length = int.from_bytes(code[at + 2 : at + 4], "big")
    end = at + 2 + length
    if length < 2 or end > len(code):
        raise ValueError("a segment ends behind the code")
    return end


def _end_of_scan(code: bytes, at: int) -> int:
    """Where the entropy-coded data of a scan end: at the next marker that is no restart."""
    while True:
        at = code.find(b"\xff", at)
        if at < 0 or at + 1 >= len(code):
            return len(code)
        if code[at + 1] >= _FIRST_MARKER and code[at + 1] not in _RESTART and code[at + 1] != 0xFF:
            return at
        at += 1


def _jpeg_2000(code: bytes) -> bytes:
    """Comments of the main header: those of tile parts are counted in their lengths."""
    kept, at = [code[:2]], 2
    while at + 1 < len(code) and code[at + 1] != _SOT:
        if code[at] != 0xFF:
            raise ValueError("no marker where one is due")
        end = _end_of_segment(code, at)
        if code[at + 1] != _J2K_COM:
            kept.append(code[at:end])
        at = end
    last = code.rfind(bytes((0xFF, _EOC)))
    return b"".join((*kept, code[at : last + 2 if last > at else len(code)]))
