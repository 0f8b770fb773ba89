"""`learn collect`: radiographs and labels from wherever they are."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, errors, print_json, print_table, settings_from
from cli.extra import train_extra
from cli.network import peer_from
from config.settings import Destination, Settings, load
from delivery.retrieve import RADIOGRAPHS, REPORTS, Fetched, find_series, get
from delivery.retrieve_web import fetch
from domain.errors import NotFound, PeerRefused, PeerUnavailable, SettingsInvalid
from domain.types import Peer, Species
from metalearner.collection import Collection, Part
from metalearner.splits import draw
from node.parts import open_ledger

if TYPE_CHECKING:
    from metalearner.collecting import Incoming
    from metalearner.labels.said import Said

NODE, REPORTS_AMONG = "node", "reports"
TIMEOUT_SECONDS = 60.0  # without an answer
_ADDRESS = re.compile(r"[^@/]+@[^@/]+:\d+")


def collect(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the collection; a new one is made.")],
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="A folder or file, `node` for this node's own images and its vets' answers, a [[destination]]'s name, "
            "AE@HOST:PORT, or a DICOMweb address. Several are taken one after another; "
            "without any, labels are for the images that the collection holds.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="LABELS",
            help="CSV, COCO .json, CVAT .xml or .zip, a folder of phantoms or of our reports, or `reports` for those that "
            "lie among the images.",
        ),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option("--query", metavar="KEY=VALUE", help="Of an archive's studies, such as StudyDate=20260101-20260630."),
    ] = None,
    clinic: Annotated[str, typer.Option("--clinic", help="Whose these images are; only a pseudonym is kept.")] = "",
    species: Annotated[Species | None, typer.Option("--species", help="Where a header names none.")] = None,
    unmarked_is_absent: Annotated[
        bool, typer.Option("--unmarked-is-absent", help="COCO, CVAT: each listed image was looked through for every label.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="Of a new collection; its folder's without one.")] = "",
    split_by: Annotated[str, typer.Option("--split-by", help="patient or clinic; clinic where six or more are known.")] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the split's draw.")] = 0,
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Draw the whole split anew: earlier figures can no longer be compared.")
    ] = False,
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """Gather radiographs and what was said of them, de-identified; patients are split into train, validation and test.

    Collecting into the same folder again adds what is new.
    """
    with train_extra():
        from metalearner.collecting import gather, opened
        from metalearner.inspecting import conflicts_of
        from metalearner.labels.files import read_labels

        if not sources and not labels:
            raise typer.BadParameter("say where images or labels come from", param_hint="--from or --labels")
        if split_by not in ("", "patient", "clinic"):
            raise typer.BadParameter("patient or clinic", param_hint="--split-by")
        files = [Path(one) for one in labels or () if one != REPORTS_AMONG]
        said_of = [(path.name, read_labels(path, unmarked_is_absent=unmarked_is_absent)) for path in files]
        collection = opened(out, name=name or out.resolve().name, made_at=datetime.now(tz=UTC).isoformat(timespec="seconds"))
        failed: list[str] = []
        with ExitStack() as held, Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("Images", total=None)
            asked = _Asked(
                config=config,
                keys=_keys(query or ()),
                reports=REPORTS_AMONG in (labels or ()),
                clinic=clinic,
                species=species,
                folder=Path(held.enter_context(tempfile.TemporaryDirectory(dir=_made(out), prefix=".fetched-"))),
                told=lambda count: progress.update(bar, description=f"Fetched {count}"),
            )
            found = [_source(one, asked, held, failed) for one in sources or ()]
            gathered = gather(
                collection,
                itertools.chain.from_iterable(one.images for one in found),
                origins=[one.origin for one in found],
                labels=[*(labelled for one in found for labelled in one.labels), *said_of],
                reports_are_labels=asked.reports,
                told=lambda counts: progress.update(bar, description=f"Read {counts.total()}"),
            )
        if not gathered.collection.cases:
            raise NotFound("; ".join([*failed, f"no image was found ({_counted(gathered.counts) or 'no files'})"]))
        try:
            drawn = draw(gathered.collection, seed=seed, redraw=redraw, by=split_by)
        except ValueError as error:
            raise SettingsInvalid([str(error)]) from error
        drawn.save()
        disagreements = sum(1 for _ in conflicts_of(drawn))
    said = [f"{disagreements} times sources or readers disagree: see `learn inspect`"] if disagreements else []
    _tell(drawn, gathered.counts, [*gathered.said, *said, *failed], json=json)
    if failed or not drawn.usable:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line says of every source. folder: for what is fetched, until it is de-identified."""

    config: Path
    keys: Mapping[str, str]
    reports: bool
    clinic: str
    species: Species | None
    folder: Path
    told: Callable[[int], None]

    @property
    def modalities(self) -> tuple[str, ...]:
        return (*RADIOGRAPHS, *([REPORTS] if self.reports else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    images: Iterable[Incoming]
    origin: str
    labels: Sequence[tuple[str, list[Said]]] = ()


def _source(source: str, asked: _Asked, held: ExitStack, failed: list[str]) -> _Source:
    """failed: takes what an archive could not give; the rest is collected all the same."""
    from metalearner.collecting import files_below

    path = Path(source)
    if source == NODE:
        return _of_node(settings_from(asked.config), held)
    if source.startswith(("http://", "https://")):
        to = Destination.model_validate({"name": "the DICOMweb server", "kind": "dicomweb", "url": source})
        return _fetched(lambda folder: _by_web(to, folder, asked), "a DICOMweb server", asked, failed)
    if _ADDRESS.fullmatch(source):
        peer = peer_from(source, calling_ae=_settings(asked.config).node.ae_title, option="--from")
        return _fetched(lambda folder: _by_association(peer, folder, asked), "an archive", asked, failed)
    known = {to.name: to for to in _settings(asked.config).destination}
    if source in known and not path.exists():
        return _of_destination(known[source], asked, failed)
    if not path.exists():
        takes = f"a folder, a file, node, AE@HOST:PORT, a DICOMweb address, or a destination ({', '.join(known) or 'none'})"
        raise NotFound(f"--from {source}: is none of {takes}")
    return _Source(images=files_below(path, clinic=asked.clinic, species=asked.species), origin="a folder of files")


def _of_destination(to: Destination, asked: _Asked, failed: list[str]) -> _Source:
    from metalearner.collecting import files_below

    if to.kind == "folder" and to.path is not None:
        return _Source(images=files_below(to.path, clinic=asked.clinic, species=asked.species), origin="a folder of files")
    if to.kind == "dicomweb":
        return _fetched(lambda folder: _by_web(to, folder, asked), f"destination {to.name}", asked, failed)
    if to.kind == "dimse":
        peer = to.peer(_settings(asked.config).node.ae_title)
        return _fetched(lambda folder: _by_association(peer, folder, asked), f"destination {to.name}", asked, failed)
    said = "images are fetched by AE@HOST:PORT or from its DICOMweb address, not by Orthanc's own interface"
    raise NotFound(f"--from {to.name}: {said}")


def _of_node(settings: Settings, held: ExitStack) -> _Source:
    from metalearner.node_source import node_answers, node_images

    ledger = open_ledger(settings.node)
    held.callback(ledger.close)
    senders = {known.name: (known.clinic, known.species) for known in settings.modality}
    return _Source(
        images=node_images(ledger, senders),
        origin="this node's studies",
        labels=[("veterinarians' answers", node_answers(ledger))],
    )


def _fetched(bring: Callable[[Path], Fetched], origin: str, asked: _Asked, failed: list[str]) -> _Source:
    from metalearner.collecting import files_below

    folder = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        missing = bring(folder).missing
    except ValueError as error:
        raise SettingsInvalid([f"--query: {error}"]) from error
    except (PeerUnavailable, PeerRefused) as error:
        failed.append(str(error))
    else:
        if missing:
            failed.append(f"{origin}: {missing} images could not be sent")
    return _Source(images=files_below(folder, clinic=asked.clinic, species=asked.species), origin=origin)


def _by_web(to: Destination, folder: Path, asked: _Asked) -> Fetched:
    return fetch(to, asked.keys, folder, modalities=asked.modalities, told=asked.told)


def _by_association(peer: Peer, folder: Path, asked: _Asked) -> Fetched:
    series = find_series(asked.keys, peer, modalities=asked.modalities, timeout_seconds=TIMEOUT_SECONDS)
    return get(series, peer, folder, timeout_seconds=TIMEOUT_SECONDS, told=asked.told)


def _settings(path: Path) -> Settings:
    return load(path) if path.exists() else Settings()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keys(query: Sequence[str]) -> dict[str, str]:
    keys = {}
    for one in query:
        keyword, equals, value = one.partition("=")
        if not equals:
            raise typer.BadParameter("KEY=VALUE, such as StudyDate=20260101-20260630", param_hint="--query")
        keys[keyword.strip()] = value.strip()
    return keys


def _tell(collection: Collection, counts: Counter[str], said: Sequence[str], *, json: bool) -> None:
    parts = Counter(collection.parts().values())
    patients = Counter(collection.split[patient] for patient in {case.patient for case in collection.usable})
    if json:
        content: dict[str, Any] = {
            "collection": str(collection.root),
            "files": dict(counts),
            "images": len(collection.usable),
            "declined": len(collection.cases) - len(collection.usable),
            "labelled": len({labels.image for labels in collection.labels}),
            "split_by": collection.split_by,
            "parts": {part.value: {"patients": patients[part], "images": parts[part]} for part in Part},
            "remarks": list(said),
        }
        print_json(content)
        return
    if counts:
        console.print(f"Of {counts.total()} files: {_counted(counts)}.")
    for sentence in said:
        console.print(sentence)
    labelled = len({labels.image for labels in collection.labels})
    console.print(f"{collection.root} holds {len(collection.usable)} images, {labelled} of them labelled.")
    rows = [(part.value, patients[part], parts[part]) for part in Part]
    print_table((f"part, by {collection.split_by}", "patients", "images"), rows, none="")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
