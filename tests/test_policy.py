from __future__ import annotations

from dataclasses import asdict
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from edge.policy import OUTSIDE_EU, Basis, Consent, Offload, Setting, Site, decide, forbidden_by_law
from edge.protocol import Mode

NOW = 1_000.0
CONSENTS = st.one_of(
    st.none(),
    st.builds(
        Consent,
        id=st.sampled_from(["", "c1"]),
        expires=st.floats(0, 2_000),
        ethics_reference=st.sampled_from(["", "e"]),
    ),
)
SITES = st.builds(
    Site,
    mode=st.sampled_from(get_args(Mode)),
    setting=st.sampled_from(get_args(Setting)),
    jurisdiction=st.sampled_from(["DE", "FR", "EU", "EEA", "unknown", "ZZ", "US", "IN"]),
    offload=st.sampled_from(get_args(Offload)),
    basis=st.sampled_from(get_args(Basis)),
    consent=CONSENTS,
)


@given(SITES)
def test_nothing_runs_that_may_not_open_the_devices(site: Site) -> None:
    allowed = decide(site, now=NOW)
    if not allowed.open_devices:
        assert not any(value for name, value in asdict(allowed).items() if name != "why")


@given(SITES)
def test_muting_closes_everything_and_never_opens_anything(site: Site) -> None:
    allowed = decide(site, now=NOW, muted=True)
    assert not any(value for name, value in asdict(allowed).items() if name != "why")


@given(SITES)
def test_evidence_carries_no_more_than_offload_says(site: Site) -> None:
    allowed = decide(site, now=NOW)
    if site.offload == "never":
        assert not allowed.send_log_mel
        assert not allowed.send_crops
    if site.offload == "features":
        assert not allowed.send_crops
    assert allowed.send_log_mel or not allowed.send_crops


@given(SITES)
def test_prohibited_inference_leaves_presence_only(site: Site) -> None:
    allowed = decide(site, now=NOW)
    if forbidden_by_law(site) and site.mode not in ("demo", "off"):
        assert not allowed.infer
        assert not allowed.send_log_mel
        assert not allowed.send_crops


@given(SITES)
def test_a_classroom_never_publishes_readings_nor_fuses(site: Site) -> None:
    allowed = decide(site, now=NOW)
    if site.mode == "classroom":
        assert not allowed.publish_readings
        assert not allowed.fuse
        assert not allowed.publish_verdict_readings
        if site.basis == "":
            assert not allowed.send_log_mel


@given(SITES)
def test_research_needs_a_consent_that_has_not_expired(site: Site) -> None:
    allowed = decide(site, now=NOW)
    consent = site.consent
    valid = consent is not None and consent.id and consent.ethics_reference and consent.expires > NOW
    if site.mode == "research" and not valid:
        assert not allowed.open_devices


@given(SITES)
def test_off_is_off(site: Site) -> None:
    if site.mode == "off":
        assert not decide(site, now=NOW).open_devices


@given(
    st.one_of(st.sampled_from(["DE", "DEU", "de", "EL", "RE", "AX", "DD", "EU", "unknown", ""]), st.text(max_size=4))
)
def test_whatever_is_not_surely_outside_the_eu_gets_the_strict_law(jurisdiction: str) -> None:
    site = Site(mode="vehicle", setting="workplace", jurisdiction=jurisdiction, offload="crops")
    assert forbidden_by_law(site) == (jurisdiction not in OUTSIDE_EU)


def test_the_list_of_countries_outside_holds_no_member_state() -> None:
    members = {"AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT"}
    members |= {"LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO"}
    assert not members & OUTSIDE_EU
    assert {"US", "GB", "CH", "IN", "JP"} <= OUTSIDE_EU


def test_a_vehicle_outside_the_eu_reads_but_sends_evidence_only_with_a_basis() -> None:
    without = decide(Site(mode="vehicle", setting="workplace", jurisdiction="US", offload="crops"), now=NOW)
    assert without.infer
    assert not without.send_crops
    declared = Site(mode="vehicle", setting="workplace", jurisdiction="US", offload="crops", basis="safety")
    assert decide(declared, now=NOW).send_crops
