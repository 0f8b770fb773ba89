"""The settings' keys, their units, defaults and checks. `config/default.toml` is the same in comments for a person."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from config.faults import examine
from config.profiles import PROFILES, Profile
from domain.errors import SettingsInvalid
from domain.types import AlarmKind, DocumentKind, Language, Peer, Region, Species, SrGeometry, Style, View


def _ae_title(value: str) -> str:
    title = value.strip(" \0")
    if len(title) > 16 or any(not 0x20 <= ord(letter) < 0x7F or letter == "\\" for letter in title):
        raise ValueError("an AE title has at most 16 letters, digits or signs, no backslash")
    return title


def _named_ae_title(value: str) -> str:
    if not _ae_title(value):
        raise ValueError("an AE title has 1 to 16 characters")
    return _ae_title(value)


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("an address such as 192.0.2.21 or a network such as 192.0.2.0/24") from None
    return value


def _postgresql_url(value: str) -> str:
    if value and not value.startswith("postgresql://"):
        raise ValueError("empty for SQLite in data_dir, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return value


def _amqp_url(value: str) -> str:
    if value and not value.startswith(("amqp://", "amqps://")):
        raise ValueError("empty, or amqp://USER:PASSWORD@HOST:PORT/VHOST")
    return value


def _http_url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("an address such as https://pacs.example/dicom-web")
    return value


AeTitle = Annotated[str, AfterValidator(_named_ae_title)]
AeTitleOrBlank = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(_Section):
    ae_title: AeTitle = "HOUNDSFIELD"
    host: str = "0.0.0.0"  # noqa: S104  a listener for the clinic's network; admission is by [[modality]]
    port: Port = 11112
    data_dir: Path = Path("var")
    language: Language = Language.KOREAN
    database_url: Annotated[str, AfterValidator(_postgresql_url)] = Field(default="", repr=False)  # may hold a password
    dispatch: Literal["embedded", "celery"] = "embedded"
    broker_url: Annotated[str, AfterValidator(_amqp_url)] = Field(default="", repr=False)
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    trusted_proxies: tuple[Network, ...] = ()
    step_seconds: Seconds = 600.0
    drain_seconds: Seconds = 30.0
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 32
    idle_seconds: Seconds = 60.0
    max_pdu_megabytes: Annotated[int, Field(ge=1, le=1024)] = 64
    max_object_megabytes: Annotated[int, Field(ge=1, le=2048)] = 1024

    @model_validator(mode="after")
    def _celery_needs_servers(self) -> Node:
        if self.dispatch == "celery" and not (self.database_url and self.broker_url):
            raise ValueError('dispatch = "celery" needs database_url (PostgreSQL) and broker_url (RabbitMQ)')
        return self


class Disk(_Section):
    refuse_below_megabytes: Annotated[int, Field(ge=0)] = 2000
    warn_below_megabytes: Annotated[int, Field(ge=0)] = 10_000

    @model_validator(mode="after")
    def _order(self) -> Disk:
        if self.warn_below_megabytes < self.refuse_below_megabytes:
            raise ValueError("warn_below_megabytes must not be below refuse_below_megabytes")
        return self


class Retention(_Section):
    """Days after which what is not owed any more is deleted, by the study's state; 0 keeps it for ever."""

    analysed_days: Days = 0.0
    declined_days: Days = 0.0
    failed_days: Days = 0.0
    done_tasks_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0


class Study(_Section):
    quiet_seconds: Seconds = 3.0
    max_wait_seconds: Seconds = 60.0
    expected_views: dict[Region, Annotated[tuple[View, ...], Field(min_length=1)]] = {}

    @model_validator(mode="after")
    def _order(self) -> Study:
        if self.max_wait_seconds < self.quiet_seconds:
            raise ValueError("max_wait_seconds must not be shorter than quiet_seconds")
        return self


class Modality(_Section):
    name: Annotated[str, Field(min_length=1)]
    ae_title: AeTitleOrBlank
    host: Network | None = None
    called_ae: AeTitle | None = None
    clinic: str = "main"
    species: Species = Species.DOG
    urgent: bool = False
    commit_host: str = ""
    commit_port: Port = 104

    @model_validator(mode="after")
    def _blank_needs_host(self) -> Modality:
        if not self.ae_title and self.host is None:
            raise ValueError('ae_title may be "" only together with host')
        return self


class Destination(_Section):
    name: Annotated[str, Field(min_length=1)]
    kind: Literal["dimse", "orthanc", "dicomweb", "folder"] = "dimse"
    ae_title: AeTitleOrBlank = ""
    host: str = ""
    port: Port = 104
    url: Annotated[str, AfterValidator(_http_url)] = ""
    username: str = Field(default="", repr=False)
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    ca_file: Path | None = None
    path: Path | None = None
    profile: Profile = Profile.GENERIC
    documents: Annotated[tuple[DocumentKind, ...], Field(min_length=1)] | None = None
    sr_geometry: SrGeometry | None = None
    language: Language | None = None
    overlays: Literal["image", "study"] = "image"
    overlay_longest_side: Annotated[int, Field(ge=0, le=6000)] = 1600
    overlay_encoding: Literal["jpeg", "uncompressed"] = "jpeg"
    verify: Literal["find", "commitment", "none"] = "find"
    verify_seconds: Seconds = 60.0
    timeout_seconds: Seconds = 30.0
    connections: Annotated[int, Field(ge=1, le=16)] = 2
    per_minute: Annotated[int, Field(ge=0)] = 0
    give_up_days: Seconds = 14.0

    @model_validator(mode="after")
    def _kind_has_its_keys(self) -> Destination:
        needed = {"dimse": ("ae_title", "host"), "orthanc": ("url",), "dicomweb": ("url",), "folder": ("path",)}[self.kind]
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(f'kind = "{self.kind}" needs {" and ".join(missing)}')
        if self.verify == "commitment" and self.kind != "dimse":
            raise ValueError('verify = "commitment" is for kind = "dimse"; the others verify by themselves')
        return self

    @model_validator(mode="after")
    def _result_set_names_something(self) -> Destination:
        if set(self.wanted) - {DocumentKind.ORIGINAL} == {DocumentKind.KOS}:
            raise ValueError('documents: "kos" names the other results of a study: list at least one of them beside it')
        return self

    @property
    def wanted(self) -> tuple[DocumentKind, ...]:
        return self.documents or PROFILES[self.profile].documents

    def style(self, node_language: Language) -> Style:
        """How documents for this destination are written: what is said here, else what its profile says."""
        profile = PROFILES[self.profile]
        return Style(
            language=self.language or profile.language or node_language,
            sr_geometry=self.sr_geometry or profile.sr_geometry,
            comprehensive_3d=profile.comprehensive_3d,
            overlay_longest_side=self.overlay_longest_side,
            overlay_jpeg=self.overlay_encoding == "jpeg",
        )

    def peer(self, calling_ae: str) -> Peer:
        return Peer(ae_title=self.ae_title, host=self.host, port=self.port, calling_ae=calling_ae)


class Notify(_Section):
    """Who is told when a person is needed. What is sent names studies by their UID or place in the node, never an animal."""

    name: Annotated[str, Field(min_length=1)]
    kind: Literal["mail", "webhook"]
    events: Annotated[tuple[AlarmKind, ...], Field(min_length=1)] = tuple(AlarmKind)
    destination_down_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 15.0
    url: Annotated[str, AfterValidator(_http_url)] = Field(default="", repr=False)  # may hold a secret
    token: str = Field(default="", repr=False)
    host: str = ""
    port: Port = 25
    security: Literal["none", "starttls", "tls"] = "none"
    username: str = Field(default="", repr=False)
    password: str = Field(default="", repr=False)
    sender: str = ""
    recipients: tuple[str, ...] = ()
    timeout_seconds: Seconds = 30.0

    @model_validator(mode="after")
    def _kind_has_its_keys(self) -> Notify:
        needed = {"mail": ("host", "sender", "recipients"), "webhook": ("url",)}[self.kind]
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(f'kind = "{self.kind}" needs {" and ".join(missing)}')
        return self


def _ed25519_key(value: str) -> str:
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 44 or not key.startswith(_ED25519_PREFIX):
        raise ValueError("the line between BEGIN and END of an Ed25519 public key: MCowBQYDK2VwAyEA…, 60 characters")
    return value


# DER of SubjectPublicKeyInfo for Ed25519, RFC 8410; 32 bytes of key follow.
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")


class Models(_Section):
    dir: str = ""
    trusted_keys: tuple[Annotated[str, AfterValidator(_ed25519_key)], ...] = ()
    require_signature: bool = False

    @model_validator(mode="after")
    def _keys_to_tell_by(self) -> Models:
        if self.require_signature and not self.trusted_keys:
            raise ValueError("require_signature needs trusted_keys")
        return self


class Model(_Section):
    """How one installed model package is used; one that is not listed runs here."""

    name: Annotated[str, Field(min_length=1)]
    version: str = ""
    enabled: bool = True
    shadow: bool = False
    runtime: Literal["local", "remote"] = "local"
    url: Annotated[str, AfterValidator(_http_url)] = ""
    remote_name: str = ""
    token: str = Field(default="", repr=False)
    when_away: Literal["local", "wait"] = "local"
    timeout_seconds: Seconds = 10.0

    @model_validator(mode="after")
    def _remote_needs_url(self) -> Model:
        if self.runtime == "remote" and not self.url:
            raise ValueError('runtime = "remote" needs url')
        return self


_Named = Modality | Destination | Notify | Model


class Settings(_Section):
    node: Node = Node()
    study: Study = Study()
    disk: Disk = Disk()
    retention: Retention = Retention()
    modality: tuple[Modality, ...] = ()
    destination: tuple[Destination, ...] = ()
    notify: tuple[Notify, ...] = ()
    models: Models = Models()
    model: tuple[Model, ...] = ()

    @field_validator("modality", "destination", "notify", "model")
    @classmethod
    def _names_are_unique(cls, blocks: tuple[_Named, ...], about: ValidationInfo) -> tuple[_Named, ...]:
        names = [f"{block.name} {block.version}".strip() if isinstance(block, Model) else block.name for block in blocks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"[[{about.field_name}]] name {twice[0]!r} is used twice")
        return blocks


def load(path: Path) -> Settings:
    """Read a settings file; relative paths in it are relative to the file. SettingsInvalid names every fault by key."""
    settings, faults = look_into(path)
    if faults:
        raise SettingsInvalid(faults)
    return settings


def look_into(path: Path) -> tuple[Settings, list[str]]:
    """What of a settings file is right, and every fault in it. SettingsInvalid where it cannot be read at all."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
    except OSError as error:
        raise SettingsInvalid([f"{path}: cannot be read ({error.strerror})"]) from error
    except UnicodeDecodeError:
        raise SettingsInvalid([f"{path}: is not UTF-8 text"]) from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid([f"{path}: is not TOML: {error}"]) from error
    settings, faults = examine(Settings, content)
    base = path.resolve().parent
    node = settings.node.model_copy(update={"data_dir": base / settings.node.data_dir})
    models = settings.models.model_copy(update={"dir": str(base / settings.models.dir) if settings.models.dir else ""})
    destinations = tuple(_placed(to, base) for to in settings.destination)
    return settings.model_copy(update={"node": node, "models": models, "destination": destinations}), faults


def _placed(to: Destination, base: Path) -> Destination:
    files = {key: base / path for key, path in (("path", to.path), ("ca_file", to.ca_file)) if path is not None}
    return to.model_copy(update=files)


def parse(content: dict[str, Any]) -> Settings:
    """SettingsInvalid names every fault by key and says what it would accept."""
    settings, faults = examine(Settings, content)
    if faults:
        raise SettingsInvalid(faults)
    return settings
