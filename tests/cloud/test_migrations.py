"""Databases of earlier releases are brought up to date; the migrations make what the models say."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from cloud.errors import StoreError
from cloud.store import Database
from cloud.store.migrate import FIRST, configuration
from cloud.store.models import Base


def test_the_migrations_make_what_the_models_say(tmp_path, new_url):
    database = Database(tmp_path, new_url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_a_database_of_release_0_1_is_taken_over(tmp_path, new_url):
    url = new_url or f"sqlite:///{tmp_path}/mien.sqlite"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        command.upgrade(configuration(connection), FIRST)
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text("INSERT INTO meta VALUES ('schema', '1'), ('starts', '4')"))
        connection.execute(text("INSERT INTO devices (site, device, first_seen, last_seen) VALUES ('a', 'b', 1, 2)"))
    engine.dispose()
    database = Database(tmp_path, new_url)
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM devices")) == 1
        assert connection.scalar(text("SELECT count(*) FROM users")) == 0
    assert database.starts == 5
    database.close()


def test_a_newer_database_is_refused(tmp_path, new_url):
    database = Database(tmp_path, new_url)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="9999"):
        Database(tmp_path, new_url)
