"""A real PostgreSQL in a throw-away folder, as an unprivileged user, on a free loopback port.

    with postgresql(tmp_path / "postgresql") as server:
        Ledger(tmp_path, database_url=server.url)

Its Debian package is installed by `make test` when that is root; without it a test is skipped and says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from peers import free_port

START_SECONDS = 30.0
STOP_SECONDS = 30.0
USER = "postgres"


@dataclass(kw_only=True)
class Server:
    """One cluster, with databases as many as are asked for."""

    folder: Path
    port: int
    _command: tuple[str, ...]
    _process: subprocess.Popen[bytes] | None = None
    _databases: int = 0

    @property
    def url(self) -> str:
        """The address of the database that is there from the start."""
        return self._url("postgres")

    def _url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"houndsfield{self._databases}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def start(self) -> None:
        """Returns when it takes connections; after `kill`, that is when it has recovered."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    tail = (self.folder / "log.txt").read_text(errors="replace")[-4000:]
                    raise RuntimeError(f"PostgreSQL did not start: {tail}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Connections are cut, what was committed is written out."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As if the machine had lost its power: only what was committed durably is there after `start`."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)
            self._process = None


@contextmanager
def postgresql(folder: Path, *settings: str) -> Iterator[Server]:
    """An empty cluster; `settings` as `name=value`. Skips the test where PostgreSQL is not installed."""
    programs = _programs()
    folder.mkdir(parents=True)
    # PostgreSQL refuses to run as root; in a namespace of its own root is somebody else, who owns the same folders.
    as_user = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
    data = str(folder / "data")
    setup = ("initdb", "--pgdata", data, "--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8")
    subprocess.run([*as_user, str(programs / setup[0]), *setup[1:]], cwd=folder, check=True, capture_output=True)
    port = free_port()
    words = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *settings)
    command = (*as_user, str(programs / "postgres"), "-D", data, *(part for word in words for part in ("-c", word)))
    server = Server(folder=folder, port=port, _command=command)
    try:
        server.start()
        yield server
    except BaseException:
        sys.stderr.write(f"--- postgresql: the end of its log\n{(folder / 'log.txt').read_text()[-3000:]}\n---\n")
        raise
    finally:
        server.kill()


def _programs() -> Path:
    """The folder of the newest PostgreSQL; Debian keeps it off the PATH."""
    import pytest

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).parent
    give_up = pytest.fail if os.environ.get("HOUNDSFIELD_REQUIRE_INTEROP") == "1" else pytest.skip
    give_up("postgres is not installed (Debian package postgresql)")
    raise AssertionError
