"""Does an archive have these instances: Study Root C-FIND at IMAGE level (PS3.4 C.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context

from dicom_node.delivering.association import Remote, associate, release
from dicom_node.delivering.storage_scu import NATIVE
from dicom_node.errors import DestinationDownError
from dicom_node.records import SopReference
from dicom_node.settings import DicomDestination

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
# PS3.4 C.4.1.1.4: a match follows; FF01 has a warning about optional keys.
_PENDING = (0xFF00, 0xFF01)


def instances_there(
    destination: DicomDestination, calling_ae_title: str, wanted: Sequence[SopReference]
) -> frozenset[str]:
    """The SOP Instance UIDs of those of `wanted` that the archive has.

    Raises:
        DestinationDownError: it could not be asked, or an answer did not come: nothing is known then.
    """
    remote = Remote.of(destination)
    association = associate(remote, calling_ae_title, [build_context(STUDY_ROOT_FIND, list(NATIVE))])
    found = set()
    try:
        for one in wanted:
            for status, match in association.send_c_find(_identifier(one), STUDY_ROOT_FIND):
                code = status.get("Status")
                if code is None:
                    raise DestinationDownError(f"{remote}: no answer to C-FIND")
                # Archives have answered with instances that were not asked for.
                if code in _PENDING and match and match.get("SOPInstanceUID") == one.sop_instance_uid:
                    found.add(one.sop_instance_uid)
    except (RuntimeError, ValueError) as error:
        raise DestinationDownError(f"{remote}: C-FIND failed: {error}") from error
    finally:
        release(association)
    return frozenset(found)


def _identifier(one: SopReference) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = "IMAGE"
    ds.StudyInstanceUID = one.study_instance_uid
    ds.SeriesInstanceUID = one.series_instance_uid
    ds.SOPInstanceUID = one.sop_instance_uid
    return ds
