"""What shapes every result beside the reading and the source: who composes, when, and for whom."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.errors import CompositionError
from dicom_node.identifiers import Shape, device_uid, digest_of
from dicom_node.records import ResultKind
from dicom_node.results.header_values import zone_of
from dicom_node.results.series import CAPTURES, SeriesChoice, series_of
from dicom_node.results.site_file import SiteFile, read_site_file
from dicom_node.results.typeface import typeface_of
from dicom_node.results.wording import Wording, wording_of
from dicom_node.settings import Destination, TransferSyntaxName

# In our order of preference: the same tree is valid in each (PS3.3 A.35.13, A.35.3, A.35.2).
REPORT_SOP_CLASSES: tuple[str, ...] = (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)
# The settings' words; all without loss.
TRANSFER_SYNTAXES: dict[TransferSyntaxName, str] = {
    "uncompressed": ExplicitVRLittleEndian,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
    "rle": RLELossless,
}


@dataclass(frozen=True)
class CompositionContext:
    """This installation, and the moment that a result says it was made.

    `composed_at` is aware, and comes from the ledger: composing again then gives the same bytes. `node_timezone`
    as "+0100" is used where a source gives no Timezone Offset From UTC; None leaves `composed_at` in its zone.
    """

    installation_id: uuid.UUID
    software_version: str
    composed_at: datetime
    node_timezone: str | None = None

    def __post_init__(self) -> None:
        """Refuses a time that nobody could place."""
        if self.composed_at.tzinfo is None:
            raise CompositionError("composed_at must know its time zone")
        if self.node_timezone is not None and zone_of(self.node_timezone) is None:
            raise CompositionError(f"node_timezone = {self.node_timezone!r} is no offset such as +0100")

    @property
    def device_uid(self) -> str:
        """The UID of this installation as a device."""
        return device_uid(self.installation_id)

    def at_destination(self, profile: DestinationProfile) -> Self:
        """The same with the destination's time zone in place of the node's, if it has one."""
        return replace(self, node_timezone=profile.timezone or self.node_timezone)

    def local_time(self, header: Dataset) -> datetime:
        """`composed_at` in the zone in which this source's dates and times are (PS3.3 C.12.1.1.8)."""
        zone = zone_of(str(header.get("TimezoneOffsetFromUTC") or "")) or zone_of(
            self.node_timezone or ""
        )
        return self.composed_at.astimezone(zone) if zone else self.composed_at


@dataclass(frozen=True)
class DestinationProfile:
    """What a destination's settings, and what it accepts, change in the objects composed for it.

    `report_class` is fixed before composing, from what the archive accepted last: a fallback is a new object. So is
    `transfer_syntax_uid`, of captures. `catalogue` and `font` are files of the site's own.
    """

    name: str
    overlay_longest_side: int = 2048
    report_class: str = Comprehensive3DSRStorage
    overlay_bits: int = 24
    language: str = "en"
    catalogue: Path | None = None
    font: Path | None = None
    series: tuple[tuple[ResultKind, SeriesChoice], ...] = ()
    transfer_syntax_uid: str = ExplicitVRLittleEndian
    character_set: str | None = None
    timezone: str | None = None
    rejection_title: str = "113001"

    @classmethod
    def of(cls, destination: Destination, report_class: str = Comprehensive3DSRStorage) -> Self:
        """The profile of a destination of the settings."""
        chosen = [
            (ResultKind(name), SeriesChoice(one.number, one.description, one.modality))
            for name, one in sorted(destination.series.items())
        ]
        return cls(
            name=destination.name,
            overlay_longest_side=destination.overlay_longest_side,
            report_class=report_class,
            overlay_bits=destination.overlay_bits,
            language=destination.language,
            catalogue=destination.catalogue,
            font=destination.font,
            series=tuple(chosen),
            transfer_syntax_uid=TRANSFER_SYNTAXES[destination.transfer_syntax],
            character_set=destination.character_set,
            timezone=destination.timezone,
            rejection_title=destination.rejection_title,
        )

    def __post_init__(self) -> None:
        """Refuses a class that cannot hold the report, a syntax that loses, and a zone that is none."""
        if self.report_class not in REPORT_SOP_CLASSES:
            raise CompositionError(f"{self.report_class} is no class for the report")
        if self.transfer_syntax_uid not in TRANSFER_SYNTAXES.values():
            raise CompositionError(f"{self.transfer_syntax_uid} is no transfer syntax for captures")
        if self.overlay_bits not in (8, 24):
            raise CompositionError(f"overlay_bits = {self.overlay_bits} is neither 8 nor 24")
        if self.timezone is not None and zone_of(self.timezone) is None:
            raise CompositionError(f"timezone = {self.timezone!r} is no offset such as +0100")

    @property
    def wording(self) -> Wording:
        """The language of what people read.

        Raises:
            CompositionError: the catalogue cannot be used.
        """
        return wording_of(self.language, self.catalogue)

    @property
    def typeface(self) -> SiteFile:
        """The letters of captures.

        Raises:
            CompositionError: the font cannot be read.
        """
        return typeface_of(self.font)

    def digest(self, kind: ResultKind) -> str:
        """sha256 of only what changes an object of this kind; destinations that agree share the object."""
        series = series_of(kind, self)
        shape: dict[str, Shape] = {
            "language": read_site_file(self.catalogue).digest if self.catalogue else self.language,
            "series": [series.modality, series.number, series.description],
            "character_set": self.character_set,
            "timezone": self.timezone,
        }
        if kind in CAPTURES:
            shape |= {
                "overlay_longest_side": self.overlay_longest_side,
                "overlay_bits": self.overlay_bits,
                "font": self.typeface.digest,
                "transfer_syntax": self.transfer_syntax_uid,
            }
        elif kind is ResultKind.REPORT:
            shape["report_class"] = self.report_class
        elif kind is ResultKind.REJECTION:
            shape["rejection_title"] = self.rejection_title
        return digest_of(shape)
