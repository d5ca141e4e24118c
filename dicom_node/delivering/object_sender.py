"""One way to send for every kind of destination."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dicom_node.delivering.folder import FolderSender
from dicom_node.delivering.storage_scu import Sender
from dicom_node.delivering.stow import StowSender
from dicom_node.settings import AnyDestination, DicomDestination, DicomwebDestination


class ObjectSender(Protocol):
    """A destination for the time of a `with`; opening it raises DestinationDownError where nobody is there."""

    def __enter__(self) -> Self:
        """Opens the way."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes it."""

    @property
    def accepted(self) -> frozenset[str] | None:
        """The SOP classes that it takes; None where it does not say so beforehand."""

    def send(self, source: Path) -> int:
        """Sends one DICOM file: a status as in the response of a C-STORE (PS3.4 B.2.3).

        Raises:
            ObjectRefusedError: it does not take this object.
            DestinationDownError: it cannot be reached, or cannot take anything now.
            OSError: `source` cannot be read.
        """


def sender_to(
    place: AnyDestination, calling_ae_title: str, offers: Sequence[tuple[str, str]]
) -> ObjectSender:
    """The sender of a destination's kind; `offers` are (SOP Class UID, Transfer Syntax UID) of what goes."""
    if isinstance(place, DicomDestination):
        return Sender(place, calling_ae_title, offers)
    if isinstance(place, DicomwebDestination):
        return StowSender(place)
    return FolderSender(place)
