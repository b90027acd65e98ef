"""All settings of a device: frozen, typed, one sentence under each field, from which docs/configuration.md is made."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.emotions import EMOTIONS
from edge.fusion import DEFAULT_RULE, Rule
from edge.policy import Basis, Consent, Jurisdiction, Offload, Setting, Site
from edge.protocol import Mode, Name

Positive = Annotated[float, Meta(gt=0.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Pin = Annotated[int, Meta(ge=0, le=27)]
EMOTION_LIST = f"^(({'|'.join(EMOTIONS)})(,({'|'.join(EMOTIONS)}))*)?$"


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
    operator: str = ""
    """Who runs the device, for the sign on the door."""
    contact: str = ""
    """Who answers questions about it: address, telephone or e-mail, for the sign on the door."""


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
    """Classroom mode: windows with fewer faces are not counted, nor are smaller counts; others are rounded to it."""
    aggregate_s: Annotated[float, Meta(ge=60.0)] = 60.0
    """Classroom mode: seconds that one aggregate covers at least."""


class DeviceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This device."""

    name: Name
    """Name of the device in topics, and its MQTT client id."""


class CameraSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of frames."""

    source: str = ""
    """`picamera2`, part of a USB camera's name or its V4L2 device, an RTSP or HTTP URL, file:///video; empty: none."""
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
    focus_m: Annotated[float, Meta(ge=0.0)] = 0.0
    """Metres at which a focusing lens is fixed; 0 = autofocus all the time. picamera2 only."""
    infrared: bool = False
    """Night vision by infrared light: the camera has no infrared filter, and its frames are gray. picamera2 only."""


class MicrophoneSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of sound."""

    card: str | None = None
    """Part of the card's name, never its index; empty: the default card; absent: no microphone."""


class IndicatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recording light, lit while the camera or the microphone is open."""

    pin: Pin | None = None
    """GPIO number of the light (BCM); absent: no light. If it cannot be driven, nothing is opened."""
    active_high: bool = True
    """Whether a high level lights it."""


class MuteSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switch that closes camera and microphone. `mien-edge mute` and the cloud can mute as well."""

    pin: Pin | None = None
    """GPIO number of the switch (BCM); absent: no switch. If it cannot be read, the device is muted."""
    active_high: bool = False
    """Whether a high level mutes; else the switch connects the pin to ground, and the Pi pulls it up."""


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The local alert, which needs no network. Fatigue is not measured: docs/privacy.md."""

    emotions: Annotated[str, Meta(pattern=EMOTION_LIST)] = ""
    """Emotions that count together, separated by commas, e.g. `angry,fear`; empty: no alert."""
    source: Literal["fused", "face", "speech"] = "fused"
    """Which distribution of a reading is looked at."""
    level: Share = 0.7
    """Probability that the emotions have together at least."""
    duration_s: Annotated[float, Meta(ge=0.0)] = 9.0
    """Seconds for which every window has to say so."""
    repeat_s: Annotated[float, Meta(ge=1.0)] = 60.0
    """Seconds from one alert to the next, at least."""
    pin: Pin | None = None
    """GPIO number (BCM) of a light, buzzer or relay; absent: none."""
    active_high: bool = True
    """Whether a high level switches it on."""
    sound: bool = True
    """Whether a tone is played."""
    card: str = ""
    """Part of the name of the card that plays it; empty: the default card."""
    length_s: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    """Seconds that the pin is switched on and the tone is played."""


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
    stay: Share | None = None
    """Probability that an emotion goes on from one window to the next; absent: as the models' manifest says; 1/7
    switches the filter off."""


class FusionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Making one distribution of face and voice."""

    rule: Rule = DEFAULT_RULE
    """How; docs/results.md compares them. Thresholds hold for log-linear only: else all fused windows are unsure."""


class GateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Asking the cloud."""

    alpha: Annotated[float, Meta(gt=0.0, lt=1.0)] | None = None
    """Probability of an error that readings kept on the device stay under, with 95 % confidence; absent: that
    of the manifest, 0.1. Where no threshold reaches it every reading is unsure."""
    requests_per_minute: Annotated[float, Meta(ge=0.0)] = 20.0
    """Evidence requests on average; as many at once. Where they are too few, the most valuable are asked."""
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
    indicator: IndicatorSettings = IndicatorSettings()
    mute: MuteSettings = MuteSettings()
    alert: AlertSettings = AlertSettings()
    face: FaceSettings = FaceSettings()
    models: ModelSettings = ModelSettings()
    window: WindowSettings = WindowSettings()
    fusion: FusionSettings = FusionSettings()
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
