"""Alembic's entry: runs the steps on the connection that `cloud.store.migrate` hands over."""

from alembic import context

from cloud.store import accounts as _accounts  # noqa: F401 - its tables belong to Base, too
from cloud.store import alerts as _alerts  # noqa: F401 - so do these
from cloud.store import analyses as _analyses  # noqa: F401
from cloud.store import summaries as _summaries  # noqa: F401
from cloud.store.models import Base

connection = context.config.attributes["connection"]
# SQLite cannot alter most things in place: Alembic then copies the table.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
