"""The `houndsfield` command. Exit status 0 only when what was asked happened; an error is one plain sentence on stderr."""

from __future__ import annotations

import sys

import typer

from cli import (
    alarms,
    analyse,
    backup,
    demo,
    learn,
    models,
    network,
    notify,
    parts,
    phantom,
    reanalyse,
    send_test,
    settings,
    status,
    tasks,
)
from domain.errors import HoundsfieldError
from node.logs import quiet_libraries

app = typer.Typer(
    name="houndsfield",
    help="A DICOM node that reads veterinary radiographs with AI and answers with reports and overlays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo")(demo.demo)
app.command("serve")(parts.serve)
app.command("scp")(parts.scp)
app.command("worker")(parts.worker)
app.command("analyse")(analyse.analyse)
app.command("send")(network.send)
app.command("echo")(network.echo)
app.command("send-test")(send_test.send_test)
app.command("status")(status.status)
app.command("reanalyse")(reanalyse.reanalyse)
app.command("backup")(backup.backup)
app.add_typer(settings.app, name="config")
app.add_typer(tasks.app, name="tasks")
app.add_typer(alarms.app, name="alarms")
app.add_typer(notify.app, name="notify")
app.add_typer(models.app, name="models")
app.add_typer(phantom.app, name="phantom")
app.add_typer(learn.app, name="learn")


def run() -> None:
    """Entry point: turns the product's own errors, and a command line that cannot be understood, into one sentence."""
    quiet_libraries()
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        message = error.format_message()
        usage = message.startswith("Usage:")  # a group without a command shows its help
        print(message if usage else f"houndsfield: {message} (see --help)", file=sys.stderr)
        sys.exit(2)
    except HoundsfieldError as error:
        print(f"houndsfield: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"houndsfield: {error.filename or 'this machine'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
