"""Read DICOM files that were broken at random, and count what became of them: `make fuzz`.

Every broken file must get an image or one sentence, from code that neither dies nor hangs nor takes more memory than it may.
What breaks that is kept, so that a test can read it again. The same seed breaks the same files in the same way.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from codestreams import JPEGS, WRITERS, compressed_dataset, ended_early
from factories import code_item, dx_dataset
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from domain.errors import ImageUnreadable
from domain.types import Species
from inference.decoder import Decoder
from inference.decoder_process import BASE_BYTES, BYTES_A_SAMPLE, READING_BYTES, bound_memory, held_bytes_now
from inference.grayscale import Grays
from inference.image import MAX_PIXELS, NotAnImage, compose

SLOW_SECONDS = 20.0
INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF)
WORDS = (0, 1, 0x7FFF, 0x8000, 0xFFFF)
LONGS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0xC0000000)
BATCH = 200


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", type=Path, help="folder for the files that broke something")
    asked = arguments.parse_args()
    became: Counter[str] = Counter()
    decoder = Decoder()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        originals = seeds(Path(folder))
        for first in range(0, asked.count, BATCH):
            numbers = range(first, min(first + BATCH, asked.count))
            contents = [mutation(originals, asked.seed, number) for number in numbers]
            outcomes = read(contents)
            path = Path(folder) / "broken.dcm"
            path.write_bytes(contents[0])  # one of each batch by the whole way, which must say the same
            if by_decoder(decoder, path) != outcomes[0]:
                outcomes[0] = "BUG: the decoder says otherwise"
            became.update(outcomes)
            for number, content, outcome in zip(numbers, contents, outcomes, strict=True):
                if is_bad(outcome) and asked.keep:
                    asked.keep.mkdir(parents=True, exist_ok=True)
                    (asked.keep / f"{outcome.split(':')[0].lower()}-{asked.seed}-{number}.dcm").write_bytes(content)
            if numbers[-1] % 10_000 > 10_000 - BATCH:
                print(f"{numbers[-1] + 1} files, {time.monotonic() - started:.0f} s", flush=True)
    decoder.close()
    most_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for outcome, count in became.most_common():
        print(f"{count:8}  {outcome}")
    print(
        f"seed {asked.seed}: {asked.count} files, {time.monotonic() - started:.0f} s, at most {most_mb:.0f} MB in a process"
    )
    failed = sum(count for outcome, count in became.items() if is_bad(outcome))
    print(f"{failed} broke something" if failed else "nothing broke")
    return int(failed > 0)


def is_bad(outcome: str) -> bool:
    return outcome.startswith(("decoder_died", "took_too_long", "needs_memory", "BUG"))


def read(contents: list[bytes]) -> list[str]:
    """What became of each, in children with the bounds of the decoder's own: many files each, since forks cost."""
    outcomes: list[str] = []
    while len(outcomes) < len(contents):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # codecs print what they stumble over
            bounds = held_bytes_now()
            for content in contents[len(outcomes) :]:
                signal.setitimer(signal.ITIMER_REAL, SLOW_SECONDS)
                os.write(writing, f"{look(content, bounds)}\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answers:
            outcomes += answers.read().splitlines()
        _, status = os.waitpid(child, 0)
        if status != 0:
            slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            outcomes.append("took_too_long" if slow else "decoder_died")
    return outcomes


def look(content: bytes, held_bytes: int) -> str:
    """ "image", a fault's name, or BUG and what."""
    bound_memory(held_bytes + len(content) + READING_BYTES)

    def bounded(samples: int) -> None:
        bound_memory(held_bytes + len(content) + BASE_BYTES + BYTES_A_SAMPLE * samples)

    def canvas(rows: int, columns: int) -> Grays:
        return np.empty((rows, columns), dtype=np.float32)

    try:
        pixels = compose(memoryview(content), assumed_species=Species.DOG, canvas=canvas, bounded=bounded).pixels
    except NotAnImage:
        return "not_an_image"
    except ImageUnreadable as error:
        return error.fault
    except MemoryError:
        return "needs_memory"
    except Exception as error:  # noqa: BLE001  what this looks for
        return f"BUG: {type(error).__name__}"
    if pixels.size > MAX_PIXELS or not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        return "BUG: pixels"
    return "image"


def by_decoder(decoder: Decoder, path: Path) -> str:
    try:
        decoder.read(path, assumed_species=Species.DOG)
    except NotAnImage:
        return "not_an_image"
    except ImageUnreadable as error:
        return error.fault
    return "image"


def mutation(originals: list[bytes], seed: int, number: int) -> bytes:
    chance = random.Random(f"{seed} {number}")  # noqa: S311  breaks files, keeps no secret
    return broken(chance.choice(originals), originals, chance)


def seeds(folder: Path) -> list[bytes]:
    """One small file of each kind."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 12])
    table.add_new("LUTData", "OW", np.arange(256, dtype="<u2").tobytes())
    size: dict[str, Any] = {"rows": 48, "columns": 64}
    colour = dx_dataset(**size)
    colour.SamplesPerPixel, colour.PhotometricInterpretation, colour.PlanarConfiguration = 3, "RGB", 1
    colour.BitsAllocated = colour.BitsStored = 8
    colour.HighBit = 7
    colour.Rows = 32
    palette = dx_dataset(
        pixels=np.arange(256, dtype="u1").reshape(16, 16), bits=8, PhotometricInterpretation="PALETTE COLOR"
    )
    for name in ("Red", "Green", "Blue"):
        palette.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        palette.add_new(f"{name}PaletteColorLookupTableData", "OW", (np.arange(256, dtype="<u2") * 257).tobytes())
    datasets = [
        *(dx_dataset(transfer_syntax=syntax, **size) for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)),
        *(dx_dataset(transfer_syntax=syntax, **size) for syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)),
        dx_dataset(bits=12, VOILUTSequence=[table], ModalityLUTSequence=[table], PixelPaddingValue=3, **size),
        dx_dataset(SOPClassUID=DigitalXRayImageStorageForProcessing, WindowCenter=None, WindowWidth=None, **size),
        dx_dataset(charset="ISO 2022 IR 149", ViewCodeSequence=[code_item("399198007", "SCT", "x")], **size),
        dx_dataset(NumberOfFrames=3, Rows=16, **size),
        colour,
        palette,
        dx_dataset(transfer_syntax=RLELossless, **size),
        *(compressed_dataset(name) for name in WRITERS),
        *(ended_early(name) for name in JPEGS),
    ]
    files = []
    for number, ds in enumerate(datasets):
        path = folder / f"seed-{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        files.append(path.read_bytes())
    return files


def broken(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """With one to eight faults. A deflated data set is broken inside, or it would never inflate again."""
    inside = DeflatedExplicitVRLittleEndian.encode() + b"\0" in content[:1024] and chance.random() < 0.7
    head = b""
    if inside:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        begin = 132 + 12 + struct.unpack_from("<L", content, 140)[0]
        head, content = content[:begin], inflater.decompress(content[begin:])
    bytes_ = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if len(bytes_) > 16:
            chance.choice(FAULTS)(bytes_, others, chance)
    if inside:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return head + deflater.compress(bytes(bytes_)) + deflater.flush()
    return bytes(bytes_)


def _place(content: bytearray, chance: random.Random) -> int:
    """Headers are short and pixels long: half of the faults go to the first kilobytes."""
    most = min(len(content), 2500) if chance.random() < 0.6 else len(content)
    return chance.randrange(most)


def _bit(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _byte(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    content[_place(content, chance)] = chance.choice((*INTERESTING, chance.randrange(256)))


def _number(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    order = chance.choice("<>")
    value = (
        struct.pack(order + "H", chance.choice(WORDS))
        if chance.random() < 0.5
        else struct.pack(order + "L", chance.choice(LONGS))
    )
    at = _place(content, chance)
    content[at : at + len(value)] = value


def _element(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    """The value of an element of the image's description, wherever it is."""
    element = struct.pack(
        "<HH", 0x28, chance.choice((0x2, 0x4, 0x8, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103, 0x1050, 0x1052))
    )
    at = content.find(element)
    if at >= 0:
        value = struct.pack("<H", chance.choice((*WORDS, chance.randrange(65536))))
        content[at + 8 : at + 10] = value


def _cut(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    del content[_place(content, chance) :]


def _remove(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 2, 4, 8, 64, 512))]


def _repeat(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    at, size = _place(content, chance), chance.choice((1, 2, 8, 64, 1024))
    content[at:at] = content[at : at + size] * chance.choice((1, 2, 50))


def _noise(content: bytearray, _: list[bytes], chance: random.Random) -> None:
    at = _place(content, chance)
    content[at:at] = chance.randbytes(chance.choice((1, 2, 3, 16, 256)))


def _splice(content: bytearray, others: list[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    content[_place(content, chance) :] = other[chance.randrange(len(other)) :]


FAULTS: tuple[Callable[[bytearray, list[bytes], random.Random], None], ...] = (
    *(_bit, _byte, _byte, _number, _number, _element, _element),
    *(_cut, _remove, _repeat, _noise, _splice),
)

if __name__ == "__main__":
    sys.exit(main())
