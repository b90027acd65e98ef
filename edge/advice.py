"""What several settings mean together: contradictions, which are errors, and what is questionable. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from edge.policy import Permissions, decide, forbidden_by_law
from edge.protocol import CLOUD
from edge.settings import Config


class Advice(NamedTuple):
    """Something about one key, in the light of others."""

    section: str
    key: str
    what: str
    fix: str


def contradictions(config: Config) -> list[Advice]:
    """Return what cannot be meant, and is refused."""
    found = []
    mqtt = config.mqtt
    if config.device.name == CLOUD:
        found.append(Advice("device", "name", f"device.name = {CLOUD!r} is reserved for the cloud", "Choose another."))
    if mqtt.key_file and not mqtt.certificate_file:
        what = "mqtt.key_file is given without mqtt.certificate_file: a private key proves nothing by itself"
        found.append(Advice("mqtt", "key_file", what, "Name both, or neither."))
    if mqtt.password_file and not mqtt.username:
        what = "mqtt.password_file is given without mqtt.username: MQTT sends no password without a name"
        found.append(Advice("mqtt", "password_file", what, "Set mqtt.username."))
    return found


def advise(config: Config, *, now: float) -> list[Advice]:
    """Return what is allowed, but does less or other than it seems; `now` in Unix seconds, for the consent."""
    site = config.declared_site()
    allowed = decide(site, now=now)
    return [*_policy(config, allowed), *_broker(config), *_sources(config)]


def _policy(config: Config, allowed: Permissions) -> list[Advice]:
    site, offload = config.declared_site(), config.privacy.offload
    found = []
    if site.mode == "research" and not allowed.open_devices:
        what = "research mode, but no consent record is valid now: camera and microphone stay closed"
        fix = "It takes privacy.consent_id, privacy.ethics_reference and privacy.consent_expires in the future."
        found.append(Advice("privacy", "consent_id", what, fix))
    if allowed.open_devices and not allowed.infer and forbidden_by_law(site):
        what = (
            f"in {site.setting} under the law of {site.jurisdiction!r} expression and vocal tone may be inferred only "
            "for medical or safety reasons (EU AI Act, Art. 5(1)(f)): this device reports presence and voice only"
        )
        found.append(Advice("privacy", "basis", what, 'If there is such a reason, declare it: basis = "safety".'))
    elif offload != "never" and allowed.infer and not (allowed.send_log_mel or allowed.send_crops):
        what = (
            f'privacy.offload = "{offload}" has no effect: {site.mode} mode sends evidence only with a declared basis'
        )
        found.append(Advice("privacy", "offload", what, 'Write offload = "never", or declare privacy.basis.'))
    if offload != "never" and not config.mqtt.broker:
        what = f'privacy.offload = "{offload}" has no effect without a broker'
        found.append(Advice("privacy", "offload", what, "Set mqtt.broker."))
    if site.mode == "demo" and site.setting in ("education", "workplace"):
        what = f"demo mode in {site.setting} infers whatever the law says: only for people who know and agree"
        found.append(Advice("site", "mode", what, "Use classroom, vehicle or research for anything else."))
    return found


def _broker(config: Config) -> list[Advice]:
    mqtt = config.mqtt
    parts = urlsplit(mqtt.broker)
    found = []
    if parts.scheme == "mqtt":
        if mqtt.ca_file or mqtt.certificate_file:
            what = "mqtt:// is not encrypted: ca_file, certificate_file and key_file are not used"
            found.append(Advice("mqtt", "broker", what, "Write mqtts://."))
        elif (mqtt.username or "@" in parts.netloc) and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            what = "the password crosses the network in clear text"
            found.append(Advice("mqtt", "broker", what, "Write mqtts:// if the broker has TLS."))
    if "@" in parts.netloc:
        what = "the password stands in the settings, which more people read than need it"
        found.append(Advice("mqtt", "broker", what, "Use mqtt.username and mqtt.password_file."))
    return found


def _sources(config: Config) -> list[Advice]:
    camera = config.camera
    found = []
    if config.site.mode != "off" and not camera.source and config.microphone.card is None:
        what = "neither a camera nor a microphone is configured: there is nothing to read"
        found.append(Advice("camera", "source", what, "Set camera.source or microphone.card; see mien-edge devices."))
    if camera.flicker_hz and not camera.source.startswith("picamera2"):
        what = "camera.flicker_hz has no effect: only picamera2 can set it"
        found.append(Advice("camera", "flicker_hz", what, "Leave it out."))
    return found
