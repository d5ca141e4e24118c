"""Sending DICOM files of any SOP class as they are, with a result for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.delivering.association import Remote
from dicom_node.delivering.dicom_file import read_dicom_file
from dicom_node.delivering.storage_scu import CONTEXTS_AT_MOST, Sender, proposed_contexts
from dicom_node.dimse_status import Judgement, judge
from dicom_node.errors import ObjectRefusedError
from dicom_node.settings import DicomDestination


@dataclass(frozen=True)
class SentFile:
    """What became of a file: the peer's `status`, None where it never answered for it; `reason` in words."""

    path: Path
    status: int | None
    reason: str = ""

    @property
    def taken(self) -> bool:
        """Whether the peer has it now."""
        return self.status is not None and judge(self.status) in (
            Judgement.DELIVERED,
            Judgement.DELIVERED_WITH_WARNING,
        )


def send_files(
    paths: Sequence[Path], destination: DicomDestination | Remote, calling_ae_title: str
) -> Iterator[SentFile]:
    """Sends files in their order, each in its own transfer syntax; yields one result per file as it comes.

    Raises:
        DestinationDownError: no association came about, or it broke; the files not yielded were not sent.
    """
    remote = Remote.of(destination) if isinstance(destination, DicomDestination) else destination
    for batch in _batches(paths):
        offers = [offer for _, offer, _ in batch if offer is not None]
        unreadable = [SentFile(path, None, reason) for path, offer, reason in batch if offer is None]
        yield from unreadable
        if not offers:
            continue
        with Sender(remote, calling_ae_title, offers) as sender:
            for path, offer, _ in batch:
                if offer is not None:
                    yield _sent(sender, path)


def _sent(sender: Sender, path: Path) -> SentFile:
    try:
        status = sender.send(path)
    except (ObjectRefusedError, OSError) as error:
        return SentFile(path, None, str(error))
    return SentFile(path, status, "" if status == 0 else f"status {status:04X}")


_Entry = tuple[Path, tuple[str, str] | None, str]


def _batches(paths: Sequence[Path]) -> Iterator[list[_Entry]]:
    """The files, so many at a time that their presentation contexts fit one association."""
    batch: list[_Entry] = []
    offers: list[tuple[str, str]] = []
    for path in paths:
        entry = _entry(path)
        wanted = offers if entry[1] is None or entry[1] in offers else [*offers, entry[1]]
        if len(proposed_contexts(wanted)) > CONTEXTS_AT_MOST:
            yield batch
            batch, wanted = [], [entry[1]] if entry[1] else []
        batch.append(entry)
        offers = wanted
    if batch:
        yield batch


def _entry(path: Path) -> _Entry:
    try:
        file = read_dicom_file(path)
    except ObjectRefusedError as error:
        return path, None, str(error)
    except OSError as error:
        return path, None, error.strerror or str(error)
    return path, (file.sop_class_uid, file.transfer_syntax_uid), ""
