"""Bringing the database to this version's tables at start, once, whoever starts at the same time.

A new database gets the tables of `schema` and the number of the newest migration; an older one is migrated by Alembic.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import sqlalchemy as sa

from domain.errors import SettingsInvalid
from ledger import schema
from ledger.databases import Database

NEWEST = "0004"  # the last of ledger/migrations/versions
BEFORE_NUMBERS = "0001"  # the tables of the versions that wrote no number

_version = sa.table("alembic_version", sa.column("version_num"))


def migrate(engine: sa.Engine, database: Database, root: Path) -> None:
    """SettingsInvalid when a newer version wrote the database: this one would misread it."""
    if is_newest(engine, database):
        return
    with engine.begin() as connection:
        database.lock(connection, ("migration",))
        number = _number(connection)
        if number is None and not sa.inspect(connection).has_table("task"):
            _create(connection)
        elif number != NEWEST:
            _upgrade(connection, number, root)


def is_newest(engine: sa.Engine, database: Database) -> bool:
    with engine.execution_options(**database.reading).connect() as connection:
        return _number(connection) == NEWEST


def _number(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_version.name):
        return None
    return connection.scalar(sa.select(_version.c.version_num))


def _create(connection: sa.Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(sa.insert(schema.node).values(name="namespace", value=str(uuid.uuid4())))
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(sa.insert(_version).values(version_num=NEWEST))


def _upgrade(connection: sa.Connection, number: str | None, root: Path) -> None:
    # Here, since it takes a third of a second to import and almost no start needs it.
    from alembic import command
    from alembic.config import Config

    if number is not None and number > NEWEST:
        raise SettingsInvalid(
            [
                f"the ledger was written by a newer version of houndsfield (its tables are {number}, this version knows "
                f"{NEWEST}): install that version again, or restore a backup from before"
            ]
        )
    config = Config()
    config.set_main_option("script_location", "ledger:migrations")
    config.attributes["connection"] = connection
    config.attributes["root"] = root
    if number is None:
        command.stamp(config, BEFORE_NUMBERS)
    command.upgrade(config, "head")
