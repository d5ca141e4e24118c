"""What shapes every result beside the reading and the source: who composes, when, and for whom."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)

from dicom_node.errors import CompositionError
from dicom_node.identifiers import device_uid, digest_of
from dicom_node.records import ResultKind
from dicom_node.results.header_values import zone_of
from dicom_node.settings import Destination

# In our order of preference: the same tree is valid in each (PS3.3 A.35.13, A.35.3, A.35.2).
REPORT_SOP_CLASSES: tuple[str, ...] = (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)


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

    def local_time(self, header: Dataset) -> datetime:
        """`composed_at` in the zone in which this source's dates and times are (PS3.3 C.12.1.1.8)."""
        zone = zone_of(str(header.get("TimezoneOffsetFromUTC") or "")) or zone_of(
            self.node_timezone or ""
        )
        return self.composed_at.astimezone(zone) if zone else self.composed_at


@dataclass(frozen=True)
class DestinationProfile:
    """What a destination's settings, and what it accepts, change in the objects composed for it.

    `report_class` is fixed before composing, from what the archive accepted last: a fallback is a new object.
    """

    name: str
    overlay_longest_side: int = 2048
    report_class: str = Comprehensive3DSRStorage

    @classmethod
    def of(cls, destination: Destination, report_class: str = Comprehensive3DSRStorage) -> Self:
        """The profile of a destination of the settings."""
        return cls(destination.name, destination.overlay_longest_side, report_class)

    def __post_init__(self) -> None:
        """Refuses a class that cannot hold the report."""
        if self.report_class not in REPORT_SOP_CLASSES:
            raise CompositionError(f"{self.report_class} is no class for the report")

    def digest(self, kind: ResultKind) -> str:
        """sha256 of only what changes an object of this kind; destinations that agree share the object."""
        if kind is ResultKind.REPORT:
            return digest_of({"report_class": self.report_class})
        return digest_of({"overlay_longest_side": self.overlay_longest_side})
