"""What the cloud remembers: SQLAlchemy tables, one writer, some queries. SQLite (WAL) or PostgreSQL."""

from cloud.store.database import Database
from cloud.store.queries import devices, known_sites, readings
from cloud.store.writer import save

__all__ = ["Database", "devices", "known_sites", "readings", "save"]
