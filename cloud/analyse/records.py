"""Analyses in the database: written by the jobs, read by their owners."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session, defer

from cloud.accounts.audit import record
from cloud.analyse.results import Result
from cloud.store.analyses import AnalysisRow

RESTARTED = "the service was restarted before it was done; please upload it again"


@dataclass(frozen=True)
class Owner:
    """Whose an analysis is."""

    login: str
    user_key: int | None
    """None for the local admin of a service without accounts."""


class Records:
    """The table of analyses. Times are Unix seconds and passed in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, row: AnalysisRow) -> None:
        """Add an analysis, and a line in the audit log that says that it exists and nothing of what is in it."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            session.add(row)
            about = {"kinds": row.kinds, "kept_until": row.expires_at if row.kept_files else None}
            record(
                session,
                at=row.created_at,
                actor=row.login,
                action="analysis.create",
                site=row.site,
                target=row.id,
                **about,
            )

    def start(self, identifier: str) -> None:
        """Note that it is being worked on."""
        self._update(identifier, state="running")

    def fail(self, identifier: str, error: str) -> None:
        """Note why it came to nothing."""
        self._update(identifier, state="failed", error=error, kept_files=0)

    def finish(self, identifier: str, result: Result) -> bool:
        """Store the result; False if the analysis has been deleted in the meantime."""
        packed = zlib.compress(msgspec.json.encode(result))
        return self._update(identifier, state="done", result=packed)

    def of(self, owner: Owner) -> Sequence[AnalysisRow]:
        """Return a person's analyses without their results, newest first."""
        query = select(AnalysisRow).options(defer(AnalysisRow.result)).order_by(AnalysisRow.created_at.desc())
        with Session(self._engine) as session:
            return session.scalars(query.where(_belongs_to(owner))).all()

    def count(self, owner: Owner) -> int:
        """Return how many analyses of a person are stored."""
        with Session(self._engine) as session:
            return session.scalar(select(func.count()).select_from(AnalysisRow).where(_belongs_to(owner))) or 0

    def get(self, owner: Owner, identifier: str) -> AnalysisRow | None:
        """Return an analysis of a person, with its result; None if there is none or it is another's."""
        with Session(self._engine) as session:
            return session.scalar(select(AnalysisRow).where(AnalysisRow.id == identifier, _belongs_to(owner)))

    def delete(self, owner: Owner, identifier: str, *, now: float) -> bool:
        """Delete an analysis of a person; False if there is none or it is another's."""
        with Session(self._engine) as session, session.begin():
            row = session.scalar(select(AnalysisRow).where(AnalysisRow.id == identifier, _belongs_to(owner)))
            if row is None:
                return False
            session.delete(row)
            record(session, at=now, actor=owner.login, action="analysis.delete", site=row.site, target=identifier)
            return True

    def expire(self, *, now: float) -> set[str]:
        """Delete what is older than it may be; return the ids of all that is left."""
        with Session(self._engine) as session, session.begin():
            session.execute(delete(AnalysisRow).where(AnalysisRow.expires_at <= now))
            return set(session.scalars(select(AnalysisRow.id)))

    def fail_unfinished(self) -> None:
        """Note what a crash or a restart has ended."""
        unfinished = AnalysisRow.state.in_(("waiting", "running"))
        with Session(self._engine) as session, session.begin():
            session.execute(update(AnalysisRow).where(unfinished).values(state="failed", error=RESTARTED, kept_files=0))

    def _update(self, identifier: str, **values: Any) -> bool:
        with Session(self._engine) as session, session.begin():
            changed = session.execute(
                update(AnalysisRow).where(AnalysisRow.id == identifier).values(**values).returning(AnalysisRow.id)
            )
            return changed.first() is not None


def result_json(row: AnalysisRow) -> bytes | None:
    """Return the stored result as JSON, None while there is none."""
    return None if row.result is None else zlib.decompress(row.result)


def _belongs_to(owner: Owner) -> Any:
    if owner.user_key is None:
        return AnalysisRow.user_key.is_(None)
    return AnalysisRow.user_key == owner.user_key
