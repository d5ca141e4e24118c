"""The content of a Key Object Selection Document (PS3.3 A.35.4): TID 2010, built by hand.

highdicom's own gives the selected objects a concept name, which TID 2010 forbids.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr.value_types import RelationshipTypeValues
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.coding import Code
from pydicom.uid import UID, SegmentationStorage

from dicom_node.records import SopReference
from dicom_node.results import coded_concepts as codes
from dicom_node.results.composition import CompositionContext
from dicom_node.results.evidence import hierarchy
from dicom_node.results.report_content import device_observer

_CONTAINS = RelationshipTypeValues.CONTAINS


def fill_key_object_document(
    ds: FileDataset,
    title: Code,
    description: str,
    selected: Sequence[SopReference],
    context: CompositionContext,
) -> None:
    """Gives an instance its title (PS3.16 CID 7010), what people read of it, and the objects that it selects."""
    ds.ReferencedPerformedProcedureStepSequence = Items()
    ds.CurrentRequestedProcedureEvidenceSequence = hierarchy(selected)
    root = sr.ContainerContentItem(title, is_content_continuous=False, template_id="2010")
    said = sr.TextContentItem(codes.KEY_OBJECT_DESCRIPTION, description, relationship_type=_CONTAINS)
    ds.update(root)
    # Set here and not on the root: highdicom's own sequence refuses items without a name.
    ds.ContentSequence = Items(
        [*device_observer(context), said, *(_selected(reference) for reference in selected)]
    )


def _selected(reference: SopReference) -> Dataset:
    """An IMAGE item for an image, COMPOSITE for all else (PS3.3 C.17.3.2.1)."""
    uid = UID(reference.sop_class_uid)
    is_image = "Image Storage" in uid.name or uid == SegmentationStorage
    kind = sr.ImageContentItem if is_image else sr.CompositeContentItem
    item: Dataset = kind(
        codes.SOURCE,
        reference.sop_class_uid,
        reference.sop_instance_uid,
        relationship_type=_CONTAINS,
    )
    del item.ConceptNameCodeSequence
    return item
