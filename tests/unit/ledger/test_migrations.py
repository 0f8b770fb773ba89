"""Databases of other versions: older ones are adopted, whole or not at all; newer ones are refused in words.

before_numbers.sql is what the last version without numbers wrote (commit b74d84a), its data folder at /data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from domain.errors import SettingsInvalid
from domain.types import AlarmKind, DeliveryState, Outcome
from ledger import alarms, documents, images, migrate, peers, schema, status, tasks
from ledger.store import Ledger

OLD = (Path(__file__).parent / "before_numbers.sql").read_text()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The data folder of an old node."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.executescript(OLD.replace("/data/", f"{tmp_path}/"))
    return tmp_path


def differences(ledger: Ledger) -> list[object]:
    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return not (kind == "table" and name == "alembic_version")

    with ledger.reading() as tx:
        # SQLite keeps any text alike, whatever the type is called.
        context = MigrationContext.configure(tx.connection, opts={"include_object": ours, "compare_type": False})
        return compare_metadata(context, schema.metadata)


def test_a_new_database_and_an_old_one_get_the_same_tables(old: Path, tmp_path: Path) -> None:
    for folder in (old, tmp_path / "new"):
        ledger = Ledger(folder)
        assert differences(ledger) == []
        ledger.close()


def test_partial_indexes_are_those_of_the_schema(old: Path, tmp_path: Path) -> None:
    """Alembic does not compare their conditions."""

    def conditions(ledger: Ledger) -> dict[str, tuple[object, object]]:
        with ledger.reading() as tx:
            found = sa.inspect(tx.connection).get_indexes("task") + sa.inspect(tx.connection).get_indexes("alarm")
        return {str(each["name"]): (each["unique"], str(each["dialect_options"].get("sqlite_where"))) for each in found}

    migrated, new = Ledger(old), Ledger(tmp_path / "new")
    assert conditions(migrated) == conditions(new)
    migrated.close()
    new.close()


def test_an_old_node_goes_on_with_all_it_knew(old: Path) -> None:
    clock: Callable[[], float] = lambda: 1_790_000_100.0  # noqa: E731
    ledger = Ledger(old, clock=clock)
    assert str(ledger.namespace) == "0b6f9e0e-6a0c-4c3e-9f5a-2f1b7c1d9e55"  # the same UIDs as before
    with ledger.transaction() as tx:
        first, second = images.of_study(tx, "2.25.100")
        assert first.path == old / "spool/images/00/00.dcm"
        assert first.answer is not None
        assert first.answer.outcome is Outcome.DECLINED
        assert second.answer is None
        assert not images.get_study(tx, "2.25.100").urgent
        assert {(row.destination, row.state) for row in documents.deliveries(tx, "2.25.100")} == {
            ("pacs", DeliveryState.STORED),
            ("elsewhere", DeliveryState.PENDING),
        }
        assert [row.calling_ae for row in peers.refused_callers(tx)] == ["STRANGER"]
        assert {(row.kind, row.key) for row in alarms.open_alarms(tx)} == {
            (AlarmKind.DEAD_TASK, "deliver 2.25.900>elsewhere"),
            (AlarmKind.DESTINATION_DOWN, "elsewhere"),
        }
        assert status.done_by_day(tx, days=2) == {"2026-09-21": {"deliver": 1, "image": 1}}
        assert tasks.reap(tx) == 1  # the old node's worker died
    claimed = []
    for _ in range(5):
        with ledger.transaction() as tx:
            held = tasks.claim(tx, "analysis", connections={})
        claimed.append(held and (held.kind, held.key))
    assert sorted(item for item in claimed if item) == [
        ("image", "2"),
        ("image", "3"),
        ("study", "2.25.100"),
        ("study", "2.25.200"),
    ]
    with ledger.transaction() as tx:
        tasks.retry(tx, 7)
    ledger.close()


def test_paths_no_longer_name_the_data_folder(old: Path) -> None:
    """So that it can be moved, or restored elsewhere."""
    Ledger(old).close()
    with closing(sqlite3.connect(old / "ledger.sqlite")) as database:
        stored = [row[0] for row in database.execute("SELECT path FROM image UNION SELECT path FROM document")]
    assert sorted(stored) == [
        "results/2.25.900.dcm",
        "spool/images/00/00.dcm",
        "spool/images/01/01.dcm",
        "spool/images/02/02.dcm",
    ]


def test_rejection_notes_of_an_older_version_are_told_from_the_results_they_name(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.executescript(
            """
            ALTER TABLE delivery DROP COLUMN late_looks;
            ALTER TABLE commitment DROP COLUMN accepted_at;
            UPDATE alembic_version SET version_num = '0003';
            INSERT INTO document VALUES ('2.25.1', 'kos', '1.2', '2.25.100', '2.25.101', 'results/1.dcm', 'x', 5.0, 5.0);
            INSERT INTO document VALUES ('2.25.2', 'sr', '1.2', '2.25.100', '2.25.102', 'results/2.dcm', 'x', 4.0, 5.0);
            INSERT INTO delivery VALUES ('2.25.1', 'pacs', 'PENDING', 5.0, NULL, NULL, 0, NULL);
            INSERT INTO delivery VALUES ('2.25.2', 'pacs', 'STORED', 4.0, 4.5, NULL, 1, NULL);
            """
        )
    ledger = Ledger(tmp_path)
    with ledger.reading() as tx:
        result, note = documents.deliveries(tx, "2.25.100")
    ledger.close()
    assert (result.withdrawn, result.taken_back) == (True, True)
    assert (note.withdrawn, note.taken_back) == (True, False)


def test_a_migration_that_breaks_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(old)
    with closing(sqlite3.connect(old / "ledger.sqlite")) as database:
        database.execute("CREATE TABLE daily (day TEXT)")  # in the way of one of its last steps
    with pytest.raises(Exception, match="daily"):
        Ledger(old)
    with closing(sqlite3.connect(old / "ledger.sqlite")) as database:
        database.execute("DROP TABLE daily")
    assert dump(old) == before
    Ledger(old).close()


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
        return list(database.iterdump())


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = dump(tmp_path)
    with pytest.raises(SettingsInvalid, match="newer version of houndsfield"):
        Ledger(tmp_path)
    assert dump(tmp_path) == before


def test_the_newest_number_is_that_of_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "ledger:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.NEWEST
