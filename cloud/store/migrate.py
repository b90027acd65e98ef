"""Bringing a database to the newest schema with Alembic; the steps stand in cloud/store/migrations/versions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from cloud.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST = "0001"
"""What releases before Alembic made; they wrote no version that Alembic knows."""

_MARK_OF_FIRST = ("schema", "1")
"""A row of `meta` in such a database."""


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, in one transaction. Raises StoreError for a newer or foreign database."""
    with engine.begin() as connection:
        config = configuration(connection)
        if _is_from_before_alembic(connection):
            command.stamp(config, FIRST)
        found = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            fix = "Use the version of Mien that made it, or name another folder with --data."
            raise StoreError(f"the database has schema {found}, which this version does not know", fix=fix)
        command.upgrade(config, "head")


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_from_before_alembic(connection: Connection) -> bool:
    tables = inspect(connection).get_table_names()
    if "meta" not in tables or "alembic_version" in tables:
        return False
    mark = connection.execute(text("SELECT value FROM meta WHERE key = :key"), {"key": _MARK_OF_FIRST[0]}).scalar()
    return mark == _MARK_OF_FIRST[1]
