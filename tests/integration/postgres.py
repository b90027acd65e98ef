"""A real PostgreSQL for the tests: a server of its own on a socket in a private folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from brokers import eventually
from sqlalchemy import create_engine

from cloud.store.migrate import upgrade
from cloud.store.models import Base

USER = "postgres"
SHARED = "mien"
"""The database that most tests get, emptied: making one takes longer than they do."""

START_S = 60.0
# A test's database need not outlive a power cut.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "50",
}


class PostgreSQL:
    """A PostgreSQL server that ends with the `with` block, or with this process however that ends.

    with PostgreSQL() as server:
        Database(folder, server.emptied())
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mien-postgres-"))
        self._numbers = count()
        # It refuses to run as root, which tests in a container often are.
        self._as_user: list[str] = []
        if os.getuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as_user = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def __enter__(self) -> Self:
        data = self._folder / "data"
        initdb = ["setpriv", *self._as_user, _program("initdb"), "-D", str(data), "-U", USER, "-A", "trust"]
        subprocess.run([*initdb, "-E", "UTF8", "--locale=C", "--no-sync"], check=True, capture_output=True, cwd="/")
        options = [option for name, value in SETTINGS.items() for option in ("-c", f"{name}={value}")]
        self._log = (self._folder / "log").open("wb")
        # SIGINT is its fast shutdown.
        as_child = ["setpriv", *self._as_user, "--pdeathsig=INT"]
        self._process = subprocess.Popen(
            [*as_child, _program("postgres"), "-D", str(data), "-k", str(self._folder), *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd="/",
        )
        try:
            eventually(self._answers, within_s=START_S, what="PostgreSQL answers")
            self._execute(f"CREATE DATABASE {SHARED}")
            engine = create_engine(self.url(SHARED).replace("postgresql", "postgresql+psycopg", 1))
            upgrade(engine)
            engine.dispose()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._end()

    def url(self, name: str) -> str:
        """Return the address of a database, as --database takes it."""
        return f"postgresql://{USER}@/{name}?host={self._folder}"

    def emptied(self) -> str:
        """Return the address of a database with the newest schema and no rows: the same one each time."""
        with psycopg.connect(self.url(SHARED), autocommit=True) as connection:
            tables = ", ".join(f'"{name}"' for name in Base.metadata.tables)
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())
        return self.url(SHARED)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the address of a new database without any table; drop it afterwards."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder)


def _program(name: str) -> str:
    """Return the newest program of that name: Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
    assert found is not None, f"{name} is missing; scripts/test installs it (apt-get install postgresql)"
    return found
