"""The settings: one frozen snapshot, read from a TOML file; an error names file, key, value and remedy."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dicom_node.errors import SettingsError
from dicom_node.records import Priority
from dicom_node.settings.destination import (
    AnyDestination,
    Destination,
    DicomDestination,
    DicomwebDestination,
    FolderDestination,
    LanguageName,
    ObjectName,
    OutcomeName,
    TransferSyntaxName,
)
from dicom_node.settings.section import AeTitle, Name, Port, Section, ZoneOffset
from dicom_node.settings.web import Web

__all__ = [
    "AnyDestination",
    "Destination",
    "DicomDestination",
    "DicomwebDestination",
    "FolderDestination",
    "LanguageName",
    "Name",
    "ObjectName",
    "OutcomeName",
    "Settings",
    "TransferSyntaxName",
    "Web",
    "read_settings",
]


PriorityName = Literal["emergency", "urgent", "routine"]
AcceptedAndIgnored = Literal["sc", "sr", "pr", "ko", "seg"]
# As `pipeline.engines.building.ENGINES` has them; named here too, for the receiver holds no torch.
EngineName = Literal[
    "auto", "torch fp32", "torch bf16", "openvino fp32", "openvino bf16", "cuda fp32", "cuda bf16"
]

_S = TypeVar("_S", bound=Section)


def priority_of(name: PriorityName) -> Priority:
    """The record's priority of a settings' word."""
    return Priority[name.upper()]


class CalledAeTitle(Section):
    """An AE title of this node that carries a priority."""

    title: AeTitle = Field(description="the AE title that senders call")
    priority: PriorityName | None = Field(
        None, description="of what comes to it; a peer's or a route's goes before"
    )


class Node(Section):
    """Where the node listens and keeps its data."""

    ae_titles: tuple[AeTitle | CalledAeTitle, ...] = Field(
        ("FRACTURE",), min_length=1,
        description='AE titles this node answers to; also { title = "FRACTURE_ER", priority = "emergency" }',
    )  # fmt: skip
    address: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every interface")
    port: Port = Field(11112, description="port of the Storage SCP")
    data: Path = Field(
        Path("data"), description="folder of spool, outbox and database; local disk only"
    )
    max_associations: int = Field(100, ge=1, le=1000, description="associations at a time, all peers")
    max_pdu_bytes: int = Field(
        131072, ge=4096, le=1048576, description="largest PDU we receive; 128 KiB measured best"
    )
    timezone: ZoneOffset | None = Field(
        None,
        description='offset from UTC of our dates and times where a film gives none of its own, e.g. "+0100"; default: UTC',
    )  # fmt: skip

    @property
    def called(self) -> dict[str, PriorityName | None]:
        """Our AE titles and the priority that each carries."""
        return {
            entry if isinstance(entry, str) else entry.title: None if isinstance(entry, str) else entry.priority
            for entry in self.ae_titles
        }  # fmt: skip


class Study(Section):
    """When the findings of a study close."""

    quiet_seconds: float = Field(
        60, gt=0, description="no image for so long closes the study's findings"
    )
    longest_wait_seconds: float = Field(
        300,
        gt=0,
        description="closes them at the latest, counted from the first image, once each has an outcome",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest_wait_seconds < self.quiet_seconds:
            raise ValueError("longest_wait_seconds must not be below quiet_seconds")
        return self


class Model(Section):
    """Which model reads, and its operating points."""

    path: Path | None = Field(None, description="a model package; default: the shipped one")
    profile: Path | None = Field(
        None,
        description="a site's own calibration and thresholds, as `dicom-node model calibrate` writes them",
    )
    fracture_threshold: float | None = Field(
        None, gt=0, lt=1, description="from this probability on: fracture; default: the package's"
    )
    doubt_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="from this one on: doubt, below: no fracture; default: the package's",
    )
    minimum_age_years: float | None = Field(
        None,
        gt=0,
        le=120,
        description="films of younger patients are not read; an age that is not in the header passes, and is said",
    )
    threads: int = Field(0, ge=0, le=64, description="threads of the engine; 0: one per core")
    engine: EngineName = Field(
        "auto", description="what runs the network; auto: what agrees and is fastest on this machine"
    )


class Retention(Section):
    """What is kept, and when room is short."""

    keep_days: float = Field(
        7, gt=0, description="films, objects and names are deleted so long after all deliveries ended"
    )
    minimum_free_gb: float = Field(2, ge=0, description="with less disk free, C-STORE is answered A700")


class Peer(Section):
    """Who may send."""

    ae_title: AeTitle = Field(description="the calling AE title; case counts")
    hosts: tuple[str, ...] = Field(min_length=1, description="addresses, networks (CIDR) or names")
    priority: PriorityName | None = Field(
        None, description="goes before the called AE title's and DIMSE's"
    )
    max_associations: int = Field(20, ge=1, description="associations at a time from this peer")
    accept_and_ignore: tuple[AcceptedAndIgnored, ...] = Field(
        (), description="object kinds that are answered Success and not kept"
    )

    @model_validator(mode="after")
    def _readable_networks(self) -> Self:
        for host in self.hosts:
            if "/" in host:
                ipaddress.ip_network(host, strict=False)
        return self


class Route(Section):
    """From which peers to which destinations. `"*"` in `from` means every peer."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    from_: tuple[AeTitle, ...] = Field(
        alias="from", min_length=1, description='AE titles of peers; "*" is every peer'
    )
    to: tuple[Name, ...] = Field(min_length=1, description="names of destinations")
    priority: PriorityName | None = Field(None, description="used where the peer gives none")


class Log(Section):
    """How the processes log, to standard error. Patient names are in no line."""

    format: Literal["text", "json"] = Field("text", description="json: one object a line")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level shown")


class Settings(Section):
    """One generation of settings; a new generation replaces the old whole."""

    node: Node = Node()
    study: Study = Study()
    model: Model = Model()
    retention: Retention = Retention()
    web: Web = Web()
    log: Log = Log()
    peers: tuple[Peer, ...] = ()
    destinations: tuple[AnyDestination, ...] = Field(min_length=1)
    routes: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse_twins("peers", "ae_title", [peer.ae_title for peer in self.peers])
        _refuse_twins("destinations", "name", [place.name for place in self.destinations])
        known = {place.name for place in self.destinations}
        senders = {peer.ae_title for peer in self.peers}
        for route in self.routes:
            for name in route.to:
                if name not in known:
                    raise ValueError(
                        f"routes: to = {name!r} names no destination; known: {sorted(known)}"
                    )
            for title in route.from_:
                if title != "*" and self.peers and title not in senders:
                    raise ValueError(
                        f"routes: from = {title!r} names no peer; known: {sorted(senders)}"
                    )
        if self._implied_route:
            return self
        for title in sorted(senders) or ["*"]:
            if not self._routed(title):
                raise ValueError(
                    f"routes: no route from {title!r}; with several peers or destinations add "
                    f'[[routes]] with from = ["{title}"] and to = ["{self.destinations[0].name}"]'
                )
        return self

    @property
    def engines_folder(self) -> Path:
        """Where the choice of an engine is kept."""
        return self.node.data / "engines"

    @property
    def _implied_route(self) -> bool:
        return not self.routes and len(self.peers) <= 1 and len(self.destinations) == 1

    def _routed(self, calling_ae_title: str) -> set[str]:
        return {
            name
            for route in self.routes
            if "*" in route.from_ or calling_ae_title in route.from_
            for name in route.to
        }

    def peer(self, calling_ae_title: str) -> Peer | None:
        """The peer of that AE title."""
        return next((peer for peer in self.peers if peer.ae_title == calling_ae_title), None)

    def destination(self, name: str) -> AnyDestination | None:
        """The destination of that name."""
        return next((place for place in self.destinations if place.name == name), None)

    def calling_ae_title(self, place: Destination) -> str:
        """Our AE title towards a destination: its own setting, else the node's first."""
        own = place.calling_ae_title if isinstance(place, DicomDestination) else None
        return own or next(iter(self.node.called))

    @property
    def committing_destinations(self) -> tuple[DicomDestination, ...]:
        """Those that are asked to take responsibility for what they stored, in the file's order."""
        return tuple(
            place
            for place in self.destinations
            if isinstance(place, DicomDestination) and place.storage_commitment
        )

    def destinations_for(self, calling_ae_title: str) -> tuple[Destination, ...]:
        """Where results of a peer's images go, in the file's order."""
        if self._implied_route:
            return self.destinations
        names = self._routed(calling_ae_title)
        return tuple(place for place in self.destinations if place.name in names)

    def configured_priority(self, calling_ae_title: str, called_ae_title: str) -> Priority | None:
        """The priority from the peer, else the route, else the called AE title; None leaves it to DIMSE."""
        peer = self.peer(calling_ae_title)
        if peer and peer.priority:
            return priority_of(peer.priority)
        routed = [
            priority_of(route.priority)
            for route in self.routes
            if route.priority and ("*" in route.from_ or calling_ae_title in route.from_)
        ]
        if routed:
            return min(routed)
        word = self.node.called.get(called_ae_title)
        return priority_of(word) if word else None


def _refuse_twins(table: str, key: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{table}: {key} = {value!r} is given twice; each must be unique")


def read_settings(path: Path) -> Settings:
    """The settings of a file; relative paths start at the file.

    Raises:
        SettingsError: naming the file, the key, the value and the remedy.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no such file; `dicom-node config init {path}` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("\n".join(_complaints(path, error))) from error
    return _at_home(settings, path.resolve().parent)


def _at_home(settings: Settings, folder: Path) -> Settings:
    node = settings.node.model_copy(update={"data": folder / settings.node.data.expanduser()})
    model = settings.model
    named = {"path": model.path, "profile": model.profile}
    rooted = {key: folder / path.expanduser() for key, path in named.items() if path is not None}
    model = model.model_copy(update=rooted)
    places = tuple(_rooted(place, folder) for place in settings.destinations)
    web = _rooted(settings.web, folder)
    return settings.model_copy(
        update={"node": node, "model": model, "web": web, "destinations": places}
    )


def _rooted(section: _S, folder: Path) -> _S:
    named = {key: getattr(section, key) for key in type(section).model_fields}
    rooted = {key: folder / path.expanduser() for key, path in named.items() if isinstance(path, Path)}
    return section.model_copy(update=rooted)


def _complaints(path: Path, error: ValidationError) -> list[str]:
    faults = error.errors()
    return [_complaint(path, fault) for fault in faults if not _is_echo(fault, faults)]


def _is_echo(fault: ErrorDetails, faults: Sequence[ErrorDetails]) -> bool:
    """Whether a list counts as too short only because one of its entries is wrong."""
    place = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in faults
    )


def _complaint(path: Path, fault: ErrorDetails) -> str:
    where, value = _key(fault["loc"]), fault["input"]
    if fault["type"] == "unknown_kind":
        where, value = f"{where}.kind", value.get("kind") if isinstance(value, dict) else value
    shown = "" if isinstance(value, dict | BaseModel) or value is None else f" = {value!r}"
    return f"{path}: {where}{shown}: {_remedy(fault, where)}"


def _key(location: tuple[int | str, ...]) -> str:
    words = ""
    for at, step in enumerate(location):
        if isinstance(step, int):
            words += f"[{step + 1}]"
        elif not _is_ours(location, at):
            words += f".{step}" if words else step
    return words or "settings"


def _is_ours(location: tuple[int | str, ...], at: int) -> bool:
    """Whether a step of a location is a name of ours, not a key of the file: a type, or a destination's kind."""
    step = str(location[at])
    kind = location[0] == "destinations" and at == 2
    return kind or step in ("CalledAeTitle", "[key]") or step.startswith(("constrained-", "function-"))


def _remedy(fault: ErrorDetails, where: str) -> str:
    if fault["type"] == "extra_forbidden":
        place = fault["loc"]
        kind = f" of kind {place[2]!r}" if place[0] == "destinations" and len(place) > 3 else ""
        table = where.rpartition(".")[0] or "the file"
        return f"no such key; see `dicom-node config schema` for the keys of [{table}]{kind}"
    if fault["type"] == "missing":
        return "missing; add it"
    return str(fault["msg"]).removeprefix("Value error, ")
