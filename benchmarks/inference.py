"""What an answer costs beside the network itself: a whole image's way to findings against bare ONNX Runtime.

    .venv/bin/python -P benchmarks/inference.py [--images 10] [--repeats 5] [--package DIR …] [--json FILE]

Both are interleaved in one run on the same machine, the bare run on the very tensor that the product prepared, with the same
thread count. The images are uncompressed, 3000 × 2400, 16 bits. The bars: everything but the session's run takes at most
120 ms (median), and the whole at most 1.3 × the bare run or bare + 120 ms, whichever is more; the memory of this process
peaks at no more than the bare process's + 4 × the image, and what the decoder and its child for an image take is shown. On a
machine that does other work too, clock time says what it waits for; the processor time, which is shown beside it, says what
it costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console

import inference.engine
import inference.heads
from domain.types import Species
from inference.engine import Engine
from inference.package import ModelPackage, find_packages, load_package
from inference.runtime import OnnxRuntime
from inference.tensors import prepared
from node.models import cores
from phantoms.study import make_study

ROWS, COLUMNS = 2400, 3000
IMAGE_BYTES = ROWS * COLUMNS * 2
BESIDE_SECONDS, RATIO = 0.120, 1.3
STAGES = {"read_radiograph": "read", "fit": "fit", "read_head": "head with session"}  # of the engine
console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--package", type=Path, action="append", help="instead of the shipped ones")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak-of-bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        _make_images(options.make, options.images)
        return 0
    packages = tuple(load_package(one) for one in options.package) if options.package else find_packages()
    if options.peak_of_bare:
        print(_peak_of_bare(packages, options.threads))
        return 0
    with tempfile.TemporaryDirectory(prefix="houndsfield-bench-") as name:
        _myself("--make", name, "--images", str(options.images))  # elsewhere: rendering would be this process's peak
        paths = sorted(Path(name).rglob("*.dcm"))
        figures = measure(packages, paths, repeats=options.repeats, threads=options.threads)
    chosen = [part for one in options.package or () for part in ("--package", str(one))]
    figures["bare_peak_bytes"] = int(_myself("--peak-of-bare", "--threads", str(options.threads), *chosen))
    _print(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if _passes(figures) else 1


def measure(packages: tuple[ModelPackage, ...], paths: list[Path], *, repeats: int, threads: int) -> dict[str, Any]:
    """Seconds: for each image whole, bare and the stages' medians."""
    started = time.perf_counter()
    engine = Engine(packages, threads=threads)
    loading = time.perf_counter() - started
    stages: dict[str, list[float]] = defaultdict(list)
    tensors: list[tuple[OnnxRuntime, np.ndarray[Any, Any]]] = []
    whole, bare, beside = [], [], []
    session_cpu: list[float] = []
    with _watched(stages, tensors, session_cpu):
        first = time.perf_counter()
        engine.answer(paths[0], assumed_species=Species.DOG)
        first_seconds = time.perf_counter() - first
        stages.clear()
        session_cpu.clear()
        own_cpu, decoder_cpu = 0.0, _cpu_of_children()
        for turn in range(repeats * len(paths)):
            tensors.clear()
            runs_before = len(stages["session"])
            begun, begun_cpu = time.perf_counter(), time.process_time()
            engine.answer(paths[turn % len(paths)], assumed_species=Species.DOG)
            whole.append(time.perf_counter() - begun)
            own_cpu += time.process_time() - begun_cpu
            beside.append(whole[-1] - sum(stages["session"][runs_before:]))
            begun = time.perf_counter()
            for runtime, tensor in tensors:
                manifest = runtime._package.manifest
                runtime._session.run(list(manifest.outputs), {manifest.input.name: tensor})
            bare.append(time.perf_counter() - begun)
    peak = _peak_bytes()
    peak["reading"] = _peak_of_reading(engine, paths)
    return {
        "packages": [f"{package.name} {package.manifest.version}" for package in packages],
        "images": len(whole),
        "threads": threads,
        "load_1_minute": os.getloadavg()[0],
        "loading_seconds": loading,
        "first_image_seconds": first_seconds,
        "whole_seconds": statistics.median(whole),
        "bare_seconds": statistics.median(bare),
        "beside_seconds": statistics.median(beside),
        "beside_least_seconds": min(beside),
        "beside_cpu_seconds": (own_cpu - sum(session_cpu) + _cpu_of_children() - decoder_cpu) / len(whole),
        "decoder_cpu_seconds": (_cpu_of_children() - decoder_cpu) / len(whole),
        "ratio": statistics.median(w / b for w, b in zip(whole, bare, strict=True)),
        "stage_seconds": {name: sum(given) / len(whole) for name, given in stages.items()},
        "peak_bytes": peak,
    }


@contextmanager
def _watched(stages: dict[str, list[float]], tensors: list[Any], session_cpu: list[float]) -> Iterator[None]:
    """Time the stages of an answer from outside: the product carries no stopwatch."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def around(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                stages[name].append(time.perf_counter() - begun)

        return around

    def predict(self: OnnxRuntime, planes: Any) -> Any:
        tensors.append((self, prepared(planes, self._package.manifest.input)))
        begun = time.process_time()
        try:
            return original_predict(self, planes)
        finally:
            session_cpu.append(time.process_time() - begun)

    original_predict = OnnxRuntime.predict
    kept = {name: getattr(inference.engine, name) for name in STAGES}
    for name, stage in STAGES.items():
        setattr(inference.engine, name, timed(stage, kept[name]))
    OnnxRuntime.predict = timed("session", predict)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(inference.engine, name, function)
        OnnxRuntime.predict = original_predict  # type: ignore[method-assign]


def _myself(*arguments: str) -> str:
    """The last line that this benchmark prints in a process of its own."""
    command = [sys.executable, "-P", __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().rpartition("\n")[2]


def _make_images(folder: Path, count: int) -> None:
    for seed in range(count):
        make_study(700 + seed, directory=folder / str(seed), rows=ROWS, columns=COLUMNS, views=("lateral-right",))


def _peak_bytes() -> dict[str, int]:
    """Of this process and of the decoder's, since they began."""
    return {"parent": _high_water(os.getpid()), "decoder": sum(map(_high_water, _children()))}


def _peak_of_reading(engine: Engine, paths: list[Path]) -> int:
    """Bytes of the child that the decoder forks for one image, what it shares with the decoder included: looked at while
    images are read once more, after everything was timed."""
    highest, done = 0, threading.Event()

    def look() -> None:
        nonlocal highest
        while not done.wait(0.0005):
            for pid in (child for decoder in _children() for child in _children(decoder)):
                with suppress(OSError):  # it has ended
                    highest = max(highest, _high_water(pid))

    looking = threading.Thread(target=look)
    looking.start()
    for path in paths:
        engine.answer(path, assumed_species=Species.DOG)
    done.set()
    looking.join()
    return highest


def _children(of: int | str = "self") -> set[int]:
    return {int(pid) for known in Path(f"/proc/{of}/task").glob("*/children") for pid in known.read_text().split()}


def _cpu_of_children() -> float:
    """Seconds of the decoder, and of those that it started and that have ended."""
    ticks = 0
    for pid in _children():
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, after_name[11:15]))  # user and system, its own and its children's
    return ticks / os.sysconf("SC_CLK_TCK")


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _peak_of_bare(packages: tuple[ModelPackage, ...], threads: int) -> int:
    """A process that imports the same, loads the same weights, and runs them on blank input."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for package in packages:
        manifest = package.manifest
        session = onnxruntime.InferenceSession(str(package.weights), options, providers=["CPUExecutionProvider"])
        blank = np.zeros((manifest.batch, 1, manifest.input.rows, manifest.input.columns), dtype=np.float32)
        for _ in range(3):
            session.run(list(manifest.outputs), {manifest.input.name: prepared(blank, manifest.input)})
    return _high_water(os.getpid())


def _passes(figures: dict[str, Any]) -> bool:
    bar = max(RATIO * figures["bare_seconds"], figures["bare_seconds"] + BESIDE_SECONDS)
    return figures["beside_seconds"] <= BESIDE_SECONDS and figures["whole_seconds"] <= bar and _memory_bar(figures) >= 0


def _memory_bar(figures: dict[str, Any]) -> int:
    """Bytes to spare."""
    return int(figures["bare_peak_bytes"] + 4 * IMAGE_BYTES - figures["peak_bytes"]["parent"])


def _print(figures: dict[str, Any]) -> None:
    whole, bare, beside = figures["whole_seconds"], figures["bare_seconds"], figures["beside_seconds"]
    console.print(f"{figures['images']} answers, {COLUMNS} × {ROWS}, 16 bits uncompressed; {', '.join(figures['packages'])}")
    console.print(f"{figures['threads']} threads; load of the machine {figures['load_1_minute']:.1f}")
    console.print(
        f"models loaded and warm in {figures['loading_seconds']:.2f} s; first image {figures['first_image_seconds']:.2f} s"
    )
    console.print(f"whole answer  median {1000 * whole:6.1f} ms")
    console.print(f"bare runs     median {1000 * bare:6.1f} ms   whole / bare: median {figures['ratio']:.2f}")
    console.print(
        f"beside them   median {1000 * beside:6.1f} ms, least {1000 * figures['beside_least_seconds']:.1f} ms"
        f"   (bar: {1000 * BESIDE_SECONDS:.0f} ms)"
    )
    console.print(
        f"              processor time {1000 * figures['beside_cpu_seconds']:.1f} ms, "
        f"{1000 * figures['decoder_cpu_seconds']:.1f} of it the decoder's"
    )
    stages = dict(figures["stage_seconds"])
    stages["heads without session"] = stages.pop("head with session", 0.0) - stages["session"]
    for name, seconds in stages.items():
        console.print(f"  {name:22} {1000 * seconds:6.1f} ms   {100 * seconds / whole:3.0f} %")
    peak = figures["peak_bytes"]
    console.print(
        f"peak memory: parent {peak['parent'] / 1e6:.0f} MB, decoder {peak['decoder'] / 1e6:.0f} MB, its child for an image "
        f"{peak['reading'] / 1e6:.0f} MB; "
        f"bare process {figures['bare_peak_bytes'] / 1e6:.0f} MB, 4 × the image {4 * IMAGE_BYTES / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
