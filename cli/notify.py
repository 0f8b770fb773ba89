"""`notify test`: does what [[notify]] says reach a person?"""

from __future__ import annotations

import typer

from cli.common import DEFAULT_FILE, ConfigOption, JsonOption, console, print_json, settings_from
from config.settings import Notify
from domain.errors import PeerRefused, PeerUnavailable
from node.notices import send_test

app = typer.Typer(help="Who is told when a person is needed.", no_args_is_help=True)


@app.command("test")
def test(config: ConfigOption = DEFAULT_FILE, json: JsonOption = False) -> None:
    """Send one test notice through each [[notify]], and say of each whether it went out."""
    settings = settings_from(config)
    faults = {to.name: _fault(to, settings.node.ae_title) for to in settings.notify}
    if json:
        print_json([{"name": name, "sent": fault is None, "error": fault} for name, fault in faults.items()])
    else:
        for name, fault in faults.items():
            console.print(f"{name}: " + ("sent; see whether it arrives" if fault is None else f"NOT SENT: {fault}"))
        if not faults:
            console.print("No [[notify]] is listed: nobody is told when a person is needed.")
    if not faults or any(faults.values()):
        raise typer.Exit(1)


def _fault(to: Notify, node: str) -> str | None:
    try:
        send_test(to, node)
    except (PeerUnavailable, PeerRefused) as error:
        return str(error)
    return None
