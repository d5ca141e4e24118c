"""A DICOM file (PS3.10) as a sender sees it: who it is, how it is encoded, where its data set begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless
from pynetdicom.dsutils import encode

from dicom_node.errors import ObjectRefusedError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
# What can be turned into one another without touching a pixel.
_CONVERTIBLE = frozenset({EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED})

# Our captures may be compressed so; an archive that takes them only native gets the same pixels native.
_LOSSLESS = frozenset({JPEGLSLossless, JPEG2000Lossless, RLELossless})

_IDENTITY = ["SOPClassUID", "SOPInstanceUID"]


@dataclass(frozen=True)
class DicomFile:
    """A whole file: `data` with preamble and File Meta Information, whose data set begins at `offset`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes = field(repr=False)
    offset: int
    is_ours: bool = False

    @property
    def is_convertible(self) -> bool:
        """Whether `encoded` can give it in Explicit and in Implicit VR Little Endian."""
        return self.transfer_syntax_uid in _CONVERTIBLE or self._is_own_capture

    @property
    def _is_own_capture(self) -> bool:
        """Compressed by us without loss: a film of others goes as it is, or not at all."""
        return self.is_ours and self.transfer_syntax_uid in _LOSSLESS

    def encoded(self, transfer_syntax_uid: str) -> BytesIO:
        """The data set in a transfer syntax: the file's own bytes where it is the file's own.

        Raises:
            ObjectRefusedError: it cannot be turned into that one without touching the pixels.
        """
        if transfer_syntax_uid == self.transfer_syntax_uid:
            return BytesIO(memoryview(self.data)[self.offset :])
        if not self.is_convertible or transfer_syntax_uid not in _CONVERTIBLE:
            raise ObjectRefusedError(
                f"cannot turn {UID(self.transfer_syntax_uid).name} into {UID(transfer_syntax_uid).name}",
                None,
            )
        syntax = UID(transfer_syntax_uid)
        ds = dcmread(BytesIO(self.data))
        if self._is_own_capture:
            ds.decompress(as_rgb=True, generate_instance_uid=False)
        data_set = encode(ds, syntax.is_implicit_VR, True, syntax.is_deflated)
        if data_set is None:
            raise ObjectRefusedError("the data set cannot be encoded anew", None)
        return BytesIO(data_set)


def read_dicom_file(source: bytes | Path) -> DicomFile:
    """The file, from its bytes or from disk.

    Raises:
        ObjectRefusedError: it is no DICOM file, or its File Meta Information does not say what it is.
        OSError: it cannot be read from disk.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        ds = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=_IDENTITY)
        meta = ds.file_meta
        length = int(meta["FileMetaInformationGroupLength"].value)
        return DicomFile(
            # Where the two differ, the data set says who it is: an SCP compares the command with that.
            sop_class_uid=str(ds.get("SOPClassUID") or meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(ds.get("SOPInstanceUID") or meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            data=data,
            # PS3.10 7.1: preamble, prefix, then the group length element, which counts what follows it.
            offset=128 + 4 + 12 + length,
            is_ours=str(meta.get("ImplementationClassUID", "")) == IMPLEMENTATION_CLASS_UID,
        )
    except (InvalidDicomError, KeyError, AttributeError, ValueError, EOFError) as error:
        raise ObjectRefusedError("not a DICOM file with File Meta Information", None) from error
