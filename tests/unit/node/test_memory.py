"""A part's memory does not grow with its work."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import ctypes, gc
from node.parts import GIVE_BACK_BYTES, settle_memory

class Malloc(ctypes.Structure):  # struct mallinfo2 of glibc 2.33
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", *"abcdef")]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Malloc
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def blocks_of_their_own(size):
    before = libc.mallinfo2().hblks
    block = libc.malloc(size)
    found = libc.mallinfo2().hblks - before
    libc.free(block)
    return found

libc.free(libc.malloc(30_000_000))  # from now on glibc keeps what is smaller
kept = blocks_of_their_own(4 * GIVE_BACK_BYTES)
settle_memory(give_back_bytes=GIVE_BACK_BYTES)
print(kept, blocks_of_their_own(16 * GIVE_BACK_BYTES),  # more than the first left behind
      gc.get_freeze_count() > 10_000)
"""


def test_large_blocks_go_back_and_what_is_there_at_the_start_is_not_searched() -> None:
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["0", "1", "True"]
