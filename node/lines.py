"""The lines on which a node calls others: a limit and a breaker for each, so that none waits for one that is silent."""

from __future__ import annotations

from config.settings import Settings
from ledger import status
from ledger.store import Transaction


def notifier(name: str) -> str:
    """The destination of its tasks: a mail server that hangs holds a lane of its own and no other."""
    return f"notify {name}"


def console(name: str) -> str:
    """The same for a console that is called back."""
    return f"console {name}"


def destinations(settings: Settings) -> dict[str, int]:
    """{name: connections at once}"""
    return {to.name: to.connections for to in settings.destination}


def consoles(settings: Settings) -> dict[str, int]:
    return {console(known.name): 1 for known in settings.modality if known.commit_host}


def notifiers(settings: Settings) -> dict[str, int]:
    return {notifier(to.name): 1 for to in settings.notify}


def lines(settings: Settings) -> dict[str, int]:
    return destinations(settings) | consoles(settings) | notifiers(settings)


def unserved(tx: Transaction, settings: Settings) -> dict[str, int]:
    """{name: tasks} of what is owed to those that are not in the settings any more: it waits until they are back."""
    served = lines(settings)
    return {name: count for name, count in status.owed_to(tx).items() if name not in served}


def gone(name: str) -> str:
    """The key of the alarm of one that is not served."""
    return f"gone {name}"


def unserved_in_words(name: str, count: int) -> str:
    return (
        f"{name} is not in the settings any more, and {count} task(s) wait for it for ever: put it back, or give them up "
        f'with `houndsfield tasks cancel --to "{name}"`'
    )
