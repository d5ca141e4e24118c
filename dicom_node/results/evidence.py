"""How results refer to other instances: by study, series and instance (PS3.3 C.17.2.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.records import SopReference


def hierarchy(references: Iterable[SopReference]) -> Sequence:
    """References by study and series, in their order (Hierarchical SOP Instance Reference Macro)."""
    studies: dict[str, dict[str, list[Dataset]]] = defaultdict(lambda: defaultdict(list))
    for reference in references:
        item = _reference(reference.sop_class_uid, reference.sop_instance_uid)
        studies[reference.study_instance_uid][reference.series_instance_uid].append(item)
    items = Sequence()
    for study_uid, series in studies.items():
        study = Dataset()
        study.StudyInstanceUID = study_uid
        study.ReferencedSeriesSequence = Sequence([_series(uid, held) for uid, held in series.items()])
        items.append(study)
    return items


def image_reference(header: Dataset) -> Dataset:
    """An item that names the instance of a normalised header (PS3.3 10.8, SOP Instance Reference Macro)."""
    return _reference(header.SOPClassUID, header.SOPInstanceUID)


def reference_to(header: Dataset) -> SopReference:
    """Where the instance of a normalised header lies."""
    return SopReference(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
    )


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = Sequence(instances)
    return series
