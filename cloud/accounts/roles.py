"""Who may do what where. Pure; the table in docs/accounts.md is generated from `ROLES`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ALL_SITES = "*"


class Permission(StrEnum):
    """Something that a route asks for."""

    READ_READINGS = "read-readings"
    """Readings, verdicts, aggregates, history, alerts: what says something about people."""
    READ_DEVICES = "read-devices"
    """Devices, their state, health and events: nothing about people."""
    ANALYSE = "analyse"
    """Upload or record media and text; results belong to the user alone."""
    MANAGE_ALERTS = "manage-alerts"
    """Acknowledge alerts, write their rules."""
    COMMAND_DEVICES = "command-devices"
    """Ask a device to say its birth again, to test itself, to mute."""
    MANAGE_SITE = "manage-site"
    """Retention, erasure, broker accounts."""
    MANAGE_USERS = "manage-users"
    READ_AUDIT = "read-audit"


ROLES: dict[str, frozenset[Permission]] = {
    "viewer": frozenset({Permission.READ_READINGS, Permission.READ_DEVICES, Permission.ANALYSE}),
    "operator": frozenset(
        {
            Permission.READ_READINGS,
            Permission.READ_DEVICES,
            Permission.ANALYSE,
            Permission.MANAGE_ALERTS,
            Permission.COMMAND_DEVICES,
        }
    ),
    "technician": frozenset({Permission.READ_DEVICES, Permission.COMMAND_DEVICES}),
    "admin": frozenset(Permission),
    "auditor": frozenset({Permission.READ_AUDIT, Permission.READ_DEVICES}),
}
"""A technician and an auditor see no readings: their work does not need them."""


@dataclass(frozen=True)
class Grant:
    """A role at a site; at all of them if `site` is `*`."""

    site: str
    role: str


@dataclass(frozen=True)
class Access:
    """What whoever asks may do."""

    login: str
    grants: tuple[Grant, ...]
    user_key: int | None = None
    """None for the implicit local admin of a service without accounts."""

    def may(self, permission: Permission, site: str | None = None) -> bool:
        """Say whether `permission` is held at `site`; at any site if that is None."""
        return any(permission in ROLES[grant.role] and site in (None, grant.site) for grant in self._at(site))

    def sites(self, permission: Permission) -> frozenset[str] | None:
        """Return the sites at which `permission` is held; None if at all there are and will be."""
        held = frozenset(grant.site for grant in self.grants if permission in ROLES[grant.role])
        return None if ALL_SITES in held else held

    def _at(self, site: str | None) -> tuple[Grant, ...]:
        """The grants that count at `site`, those for all sites written as if they were for it."""
        if site is None:
            return self.grants
        return tuple(Grant(site, grant.role) for grant in self.grants if grant.site in (site, ALL_SITES))


LOCAL = Access("local", (Grant(ALL_SITES, "admin"),))
"""Whoever reaches a service that was started without accounts, which only this machine can."""
