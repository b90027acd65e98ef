"""The table of analyses: whose, in which state, and the result for as long as it is kept."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.store.accounts import LOGIN_LENGTH
from cloud.store.models import NAME_LENGTH, Base

ID_LENGTH = 32


class AnalysisRow(Base):
    """One analysis. It belongs to who started it; nobody else sees more than its line in the audit log."""

    __tablename__ = "analyses"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    """Random: it cannot be guessed."""
    user_key: Mapped[int | None] = mapped_column(ForeignKey("users.key", ondelete="CASCADE"), index=True)
    """None for a service without accounts."""
    login: Mapped[str] = mapped_column(String(LOGIN_LENGTH))
    site: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    """On whose behalf: decides which auditors read of it."""
    kinds: Mapped[str] = mapped_column(String(40))
    """What was given, e.g. `image+text`."""
    state: Mapped[str] = mapped_column(String(16))
    """`waiting`, `running`, `done` or `failed`."""
    error: Mapped[str]
    """Why it failed; else empty."""
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    """Unix seconds after which nothing of it is left."""
    kept_files: Mapped[int]
    """Files that the user asked to keep until then."""
    result: Mapped[bytes | None]
    """JSON of a `cloud.analyse.results.Result`, compressed with zlib."""
