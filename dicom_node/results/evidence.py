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
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        studies[reference.study_instance_uid][reference.series_instance_uid].append(item)
    items = Sequence()
    for study_uid, series in studies.items():
        study = Dataset()
        study.StudyInstanceUID = study_uid
        study.ReferencedSeriesSequence = Sequence([_series(uid, held) for uid, held in series.items()])
        items.append(study)
    return items


def reference_to(header: Dataset) -> SopReference:
    """Where the instance of a normalised header lies."""
    return SopReference(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
    )


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = Sequence(instances)
    return series
