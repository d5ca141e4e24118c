"""Knowing our own results when they come back, without any configuration."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.identifiers import MANUFACTURER, MANUFACTURER_MODEL_NAME
from dicom_node.results.character_set import values_of


def is_own_result(ds: Dataset, device_uid: str) -> bool:
    """Whether this installation made the instance, or contributed to it.

    `ds`: the header as received. It is ours if Manufacturer, model and Device UID say so in the General Equipment
    Module or in Contributing Equipment (PS3.3 C.7.5.1, C.12.1). Never by a UID's prefix, nor by DERIVED or Burned
    In Annotation alone: real films that an archive compressed again have those.
    """
    equipment = ds.get("ContributingEquipmentSequence")
    contributors = equipment if isinstance(equipment, Sequence) else ()
    return any(_is_this_device(item, device_uid) for item in (ds, *contributors))


def _is_this_device(equipment: Dataset, device_uid: str) -> bool:
    return (
        values_of(equipment.get("Manufacturer")) == [MANUFACTURER]
        and values_of(equipment.get("ManufacturerModelName")) == [MANUFACTURER_MODEL_NAME]
        and device_uid in values_of(equipment.get("DeviceUID"))
    )
