"""`reanalyse`: a study again, after a new model, a corrected species, or with the patient's correction."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json, settings_from
from domain.types import Species
from node import interventions
from node.parts import open_pipeline


def reanalyse(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Its Study Instance UID.")],
    species: Annotated[Species | None, typer.Option(help="What the animal is, whatever the header says.")] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="The patient was wrong: take back what was filed, by rejection notes.")
    ] = False,
    config: ConfigOption = DEFAULT_FILE,
    json: JsonOption = False,
) -> None:
    """Run a study again, as a new revision; with --withdraw its filed results are taken back first."""
    pipeline = open_pipeline(settings_from(config))
    if not withdraw:
        images = interventions.reanalyse(pipeline, study, species=species)
        said = f"{images} images are analysed again; the results are a new revision of the study's report."
        result: dict[str, object] = {"images": images, "withdrawn": 0, "destinations": [], "not_told": [], "stopped": 0}
    else:
        done = interventions.withdraw(pipeline, study)
        images = done.images
        said = (
            f"{done.documents} results are withdrawn: {', '.join(done.destinations)} will get a rejection note. A PACS that "
            "does not know them (IHE IOCM) goes on showing the results: delete them there by hand. `status` says where it "
            "was refused.\n"
            if done.destinations
            else ""
        )
        if done.stopped:
            said += f"{done.stopped} results waited to be sent and are not sent.\n"
        if done.not_told:
            said += (
                f"NOT TOLD, since they left the settings: {', '.join(done.not_told)}. Delete the results there by hand.\n"
            )
        said += (
            f"{images} images are analysed again, from the corrected contents that came."
            if images
            else "Nothing is analysed again: send the images under the right patient."
        )
        result = {"images": images, "withdrawn": done.documents, "destinations": list(done.destinations)}
        result |= {"not_told": list(done.not_told), "stopped": done.stopped}
    pipeline.ledger.close()
    if json:
        print_json(result)
    else:
        console.print(said)
