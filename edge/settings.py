"""All settings of a device: frozen, typed, one sentence under each field, from which docs/configuration.md is made."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.policy import Basis, Consent, Jurisdiction, Offload, Setting, Site
from edge.protocol import Mode, Name

Positive = Annotated[float, Meta(gt=0.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class SiteSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the device stands. None of the first four has a default: somebody must have decided them."""

    name: Name
    """Name of the site in topics."""
    mode: Mode
    """What the device is for; see docs/privacy.md."""
    setting: Setting
    """What kind of place it is. A fleet vehicle is a workplace."""
    jurisdiction: Jurisdiction
    """ISO 3166-1 alpha-2 country code in capitals, EU, EEA, or unknown; `unknown` gets the strictest law."""


class PrivacySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may leave the device."""

    offload: Offload
    """What evidence may carry: never; features = log-mel, which is speech; crops = log-mel and face crops."""
    basis: Basis = ""
    """Declared medical or safety basis, needed at work and in education where emotion inference is prohibited else."""
    consent_id: str = ""
    """Research mode: number of the consent record."""
    consent_expires: float = 0.0
    """Research mode: Unix time in seconds at which the consent ends."""
    ethics_reference: str = ""
    """Research mode: reference of the ethics approval."""
    k: Annotated[int, Meta(ge=3)] = 3
    """Classroom mode: windows with fewer faces are not counted."""
    aggregate_s: Annotated[float, Meta(ge=60.0)] = 60.0
    """Classroom mode: seconds that one aggregate covers at least."""


class DeviceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This device."""

    name: Name
    """Name of the device in topics, and its MQTT client id."""


class CameraSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of frames."""

    source: str = ""
    """`picamera2`, a V4L2 device such as /dev/video0, an RTSP or HTTP URL; empty: no camera."""
    fps: Annotated[float, Meta(gt=0.0, le=30.0)] = 5.0
    """Frames per second that are looked at."""
    width: Annotated[int, Meta(ge=160, le=1920)] = 640
    """Pixels."""
    height: Annotated[int, Meta(ge=120, le=1080)] = 480
    """Pixels."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise that turn the picture upright."""
    mirror: bool = False
    """Whether the picture is mirrored, after the rotation."""
    flicker_hz: Literal[0, 50, 60] = 0
    """Mains frequency, against banding in lamp light; 0 = as the camera does. picamera2 only."""


class MicrophoneSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of sound."""

    card: str | None = None
    """Part of the card's name, never its index; empty: the default card; absent: no microphone."""


class FaceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Finding and reading faces."""

    detector_model: str = ""
    """Path of YuNet's weights; empty: those that `mien-edge models fetch` stored, else the Haar cascade."""
    detect_every: Annotated[int, Meta(ge=0, le=25)] = 0
    """Frames from one detection to the next; 0 = chosen from what detection costs here."""


class ModelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The device's models."""

    folder: str = ""
    """Folder with manifest.json; empty: the models that came with the package."""
    runtime: Literal["", "litert", "tflite"] = ""
    """Which TFLite runtime; empty: LiteRT, else tflite-runtime."""


class WindowSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Readings over time."""

    length_s: Annotated[float, Meta(ge=1.0, le=30.0)] = 3.0
    """Seconds that one reading covers."""
    stay: Share = 0.5
    """Probability that an emotion goes on from one window to the next; 1/7 switches the filter off."""


class GateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asking the cloud."""

    requests_per_minute: Annotated[float, Meta(ge=0.0)] = 20.0
    """Evidence requests on average; as many at once."""
    bytes_per_minute: Annotated[float, Meta(ge=0.0)] = 400_000.0
    """Bytes of evidence on average; as many at once."""
    deadline_ms: Annotated[int, Meta(ge=500, le=60_000)] = 10_000
    """Milliseconds after which an answer is of no use."""


class MqttSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker."""

    broker: Annotated[str, Meta(pattern="^(mqtts?://[^/ ]+)?$")] = ""
    """mqtt://host:port, or mqtts://host:port with TLS; empty: readings stay on the device."""
    username: str = ""
    """User name at the broker."""
    password_file: str = ""
    """File that holds the password."""
    ca_file: str = ""
    """TLS: the authorities to trust; empty: the system's."""
    certificate_file: str = ""
    """TLS: this device's certificate."""
    key_file: str = ""
    """TLS: this device's private key."""


class OutboxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Store and forward while the broker is away."""

    folder: str = "/var/lib/mien"
    """Folder of the database."""
    max_mb: Positive = 50.0
    """Megabytes at most; the oldest readings go first."""
    max_age_h: Positive = 168.0
    """Hours after which a message is dropped."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a device."""

    site: SiteSettings
    privacy: PrivacySettings
    device: DeviceSettings
    camera: CameraSettings = CameraSettings()
    microphone: MicrophoneSettings = MicrophoneSettings()
    face: FaceSettings = FaceSettings()
    models: ModelSettings = ModelSettings()
    window: WindowSettings = WindowSettings()
    gate: GateSettings = GateSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()

    def declared_site(self) -> Site:
        """Return what the policy needs to know."""
        privacy = self.privacy
        consent = Consent(
            id=privacy.consent_id, expires=privacy.consent_expires, ethics_reference=privacy.ethics_reference
        )
        return Site(
            mode=self.site.mode,
            setting=self.site.setting,
            jurisdiction=self.site.jurisdiction,
            offload=privacy.offload,
            basis=privacy.basis,
            consent=consent if privacy.consent_id else None,
        )
