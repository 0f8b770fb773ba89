"""The metalearner's whole way on phantoms, by the commands that a person types: collect, inspect, train, evaluate, package,
and the node that runs the package. `make learn-demo`.

--miniature, for continuous integration, goes the same way in a minute and a half: what 60 phantoms teach for certain is
from which side a thorax was taken, so that is its one finding.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from metalearner.collection import Collection, Part
from phantoms import lesions

HOUNDSFIELD = str(Path(sys.executable).with_name("houndsfield"))
NAME, VERSION = "demo-thorax-findings", "0.1.0"
FINDINGS = (lesions.CARDIOMEGALY, lesions.EFFUSION, lesions.PNEUMOTHORAX)
SIDE = "TAKENFROMBELOW"
FIRST_SEED = 90_000_000  # of nothing that is shipped or measured
ANALYSED = 8  # images of the test part
MOSTLY = 0.75  # of the sure answers to those are right
LONGEST = 200  # characters of a command that are shown
TASK = """format = 1
name = "thorax"
kind = "findings"
concepts = {concepts}
regions = ["thorax"]
views = ["lateral"]
species = ["dog"]
[input]
sizes = [[128, 160], [160, 192]]
[search]
families = ["unet", "densenet"]
widths = ["small"]
losses = ["bce", "asymmetric"]
trials = 4
steps = 1200
batch = 8
final_share = 0.5
"""
MINIATURE_TASK = f"""format = 1
name = "thorax"
kind = "classification"
concepts = [{{{{ value = "{SIDE}", scheme = "99HNDSFLD", meaning = "Taken from below" }}}}]
regions = ["thorax"]
species = ["dog"]
[input]
sizes = [[96, 96]]
[search]
families = ["unet"]
widths = ["small"]
trials = 1
steps = 160
losses = ["bce"]
"""


def make_phantoms(folder: Path, *options: str, count: int) -> None:
    """As `phantom make` does, on every core."""
    cores = len(os.sched_getaffinity(0))
    shares = [range(n * count // cores, (n + 1) * count // cores) for n in range(cores)]
    command = [HOUNDSFIELD, "phantom", "make", "--region", "thorax", "--out", "phantoms", *options]
    print(f"$ houndsfield {' '.join(command[1:])} --count {count} --seed {FIRST_SEED}", flush=True)
    begun = time.monotonic()
    makers = [
        subprocess.Popen(
            [*command, "--seed", str(FIRST_SEED + share.start), "--count", str(len(share))],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        for share in shares
    ]
    if sum(maker.wait() != 0 for maker in makers):
        sys.exit("learn_demo: the phantoms could not be made")
    print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)


def label_views(folder: Path) -> None:
    """A table such as a clinic writes: one row for each image."""
    images = sorted((folder / "phantoms").glob("*/*.dcm"))
    rows = [f"{image.parent.name}/{image.name},{int('ventrodorsal' in image.name)}" for image in images]
    (folder / "labels.csv").write_text("\n".join([f"image,{SIDE}", *rows]) + "\n", encoding="utf-8")


def houndsfield(*arguments: str | Path, folder: Path, quiet: bool = False) -> str:
    """What it says; it must succeed."""
    typed = " ".join(map(str, arguments))
    print(f"\n$ houndsfield {typed if len(typed) < LONGEST else typed[:LONGEST] + ' …'}", flush=True)
    begun = time.monotonic()
    done = subprocess.run([HOUNDSFIELD, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nlearn_demo: houndsfield {arguments[0]} {arguments[1]} ended with {done.returncode}")
    if not quiet:
        print(done.stdout.rstrip())
    print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="From phantoms to a package that the node runs.")
    parser.add_argument("--out", type=Path, default=Path("var/learn-demo"))
    parser.add_argument(
        "--miniature", action="store_true", help="60 small phantoms, the plainest findings, seconds of training"
    )
    parser.add_argument("--open", action="store_true", help="open the report in a browser")
    arguments = parser.parse_args()
    mini, folder = arguments.miniature, arguments.out.resolve()
    begun = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images, minutes = (60, 1.5) if mini else (400, 4.0)
    if mini:
        views = ("--view", "right-lateral", "--view", "ventrodorsal", "--rows", "256", "--columns", "256")
        make_phantoms(folder, *views, count=images // 2)
        label_views(folder)
    else:
        make_phantoms(folder, "--view", "right-lateral", "--findings", "--rows", "400", "--columns", "500", count=images)
    labels = "labels.csv" if mini else "phantoms"
    houndsfield("learn", "collect", "thorax", "--from", "phantoms", "--labels", labels, folder=folder)
    if not mini:
        houndsfield("learn", "inspect", "thorax", folder=folder)
    concepts = (SIDE,) if mini else FINDINGS
    text = MINIATURE_TASK if mini else TASK
    (folder / "task.toml").write_text(text.format(concepts=json.dumps(FINDINGS)), encoding="utf-8")
    train = ("learn", "train", "task.toml", "--collection", "thorax", "--minutes", str(minutes), "--seed", "1")
    run = json.loads(houndsfield(*train, "--json", folder=folder, quiet=True))
    print(f"quality {run['quality']:.3f} on the validation part, {run['latency_ms']:.1f} ms an image")
    package = ("--name", NAME, "--version", VERSION, "--manufacturer", "Houndsfield", "--status", "demonstration")
    houndsfield("learn", "package", run["run"], *package, "--out", "package", folder=folder)
    judged = houndsfield("learn", "evaluate", "package", "--collection", "thorax", "--out", "report", folder=folder)
    (folder / "houndsfield.toml").write_text('[models]\ndir = "models"\n', encoding="utf-8")
    houndsfield("models", "add", "package", "-c", "houndsfield.toml", folder=folder)
    require_findings(folder, concepts, judged, images=images, least=0.9 if mini else 0.7, reached=run["quality"])
    report = folder / "report" / "evaluation.html"
    print(f"\nFrom {images} phantoms to findings in {(time.monotonic() - begun) / 60:.1f} minutes. The report: {report}")
    if arguments.open:
        webbrowser.open(report.as_uri())


def require_findings(
    folder: Path, concepts: tuple[str, ...], judged: str, *, images: int, least: float, reached: float
) -> None:
    """The node reads images that the network never saw, says all of the new package's findings, and mostly rightly."""
    collection = Collection.load(folder / "thorax")
    require(len(collection.usable) == images, f"all {images} phantoms were collected")
    require(reached >= least, f"quality {reached:.3f} on the validation part, at least {least}")
    require("95 % intervals" in judged, "the report has figures")
    unseen = [image for image, part in collection.parts().items() if part is Part.TEST]
    files = [collection.path(image) for image in unseen[:ANALYSED]]
    said = json.loads(houndsfield("analyse", *files, "-c", "houndsfield.toml", "--json", folder=folder, quiet=True))
    reports = [report for study in said["studies"] for report in study["reports"] if report["model"] == NAME]
    require(bool(reports), "the node asks the new model")
    outcomes = []
    for report in reports:
        said_of = {one["concept"]["value"] for one in report["findings"]}
        require(said_of == {*concepts}, f"{len(said_of)} findings are said, absent ones too")
        for one in report["findings"]:
            truth = collection.truth(one["sop_instance_uid"]).classes[one["concept"]["value"]]
            outcomes.append((one["outcome"], truth))
            print(
                f"{one['concept']['meaning']}: {one['outcome']} ({one['probability']:.2f}), truly {'yes' if truth else 'no'}"
            )
    sure = [(outcome == "PRESENT") == bool(truth) for outcome, truth in outcomes if outcome in ("PRESENT", "ABSENT")]
    require(bool(sure) and sum(sure) / len(sure) >= MOSTLY, f"{sum(sure)} of {len(sure)} sure answers are right")


def require(holds: bool, said: str) -> None:
    if not holds:
        sys.exit(f"learn_demo: FAILED: {said}")
    print(f"ok    {said}")


if __name__ == "__main__":
    main()
