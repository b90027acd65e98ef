"""The policy against the table of docs/privacy.md, stated here a second time and walked whole."""

from __future__ import annotations

import itertools
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from edge.policy import OUTSIDE_EU, Basis, Consent, Offload, Setting, Site, decide, forbidden_by_law
from edge.protocol import Mode

NOW = 1_000.0
MEMBERS = ("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT")
MEMBERS += ("LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO")
STRICT = (*MEMBERS, "EU", "EEA", "unknown", "ZZ")
FREE = ("US", "GB", "CH", "IN", "JP")
WALKED = ("DE", "NO", "EU", "unknown", "US", "IN")
CONSENTS = {
    None: False,
    Consent(id="c1", expires=NOW + 1.0, ethics_reference="e"): True,
    Consent(id="c1", expires=NOW, ethics_reference="e"): False,
    Consent(id="", expires=NOW + 1.0, ethics_reference="e"): False,
    Consent(id="c1", expires=NOW + 1.0, ethics_reference=""): False,
}
FLAGS = (True, False)


def table(site: Site, *, strict: bool, consent: bool, muted: bool) -> dict[str, bool]:
    """The table, from the side of what may happen, not of what leads to it."""
    runs = not muted and site.mode != "off" and (consent or site.mode != "research")
    protected = site.setting in ("education", "workplace") and site.mode != "demo"
    infers = runs and not (strict and protected and site.basis == "")
    crowd = site.mode == "classroom"
    may_ask = infers and (site.mode in ("demo", "research") or site.basis in ("medical", "safety"))
    return {
        "open_devices": runs,
        "detect": runs,
        "infer": infers,
        "fuse": infers and not crowd,
        "publish_readings": runs and not crowd,
        "publish_aggregates": runs and crowd,
        "send_log_mel": may_ask and site.offload in ("features", "crops"),
        "send_crops": may_ask and site.offload == "crops",
        "publish_verdict_readings": infers and not crowd,
        "local_alert": infers and not crowd,
    }


def test_the_policy_is_the_table() -> None:
    walked = 0
    for mode, setting, country, offload, basis, consent, muted, synced in itertools.product(
        get_args(Mode), get_args(Setting), WALKED, get_args(Offload), get_args(Basis), CONSENTS, FLAGS, FLAGS
    ):
        site = Site(mode=mode, setting=setting, jurisdiction=country, offload=offload, basis=basis, consent=consent)
        allowed = dict(vars(decide(site, now=NOW if synced else None, muted=muted)))
        assert allowed.pop("why")
        assert allowed == table(site, strict=country in STRICT, consent=CONSENTS[consent] and synced, muted=muted), site
        walked += 1
    assert walked == 5 * 4 * len(WALKED) * 3 * 3 * 5 * 2 * 2


@given(st.one_of(st.sampled_from(["DEU", "de", "us", "EL", "RE", "AX", "DD", ""]), st.text(max_size=4)))
def test_whatever_is_not_surely_outside_the_eu_gets_the_strict_law(jurisdiction: str) -> None:
    site = Site(mode="vehicle", setting="workplace", jurisdiction=jurisdiction, offload="crops")
    assert forbidden_by_law(site) == (jurisdiction not in OUTSIDE_EU)


def test_the_list_of_countries_outside_holds_no_member_state() -> None:
    assert not set(STRICT) & OUTSIDE_EU
    assert set(FREE) <= OUTSIDE_EU


def test_a_clock_that_may_be_wrong_is_named_as_the_reason() -> None:
    consent = Consent(id="c1", expires=NOW + 1.0, ethics_reference="e")
    site = Site(mode="research", setting="private", jurisdiction="US", offload="never", consent=consent)
    assert "not synchronised" in decide(site, now=None).why
    assert "not synchronised" not in decide(Site(**{**vars(site), "consent": None}), now=None).why
