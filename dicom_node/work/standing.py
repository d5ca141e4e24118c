"""Which result objects stand: what was made of an image's last reading, and of a study's newest revision."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from dicom_node.records import ResultKind
from dicom_node.work.tables import instance, result_object, study_revision


def stands() -> ColumnElement[bool]:
    """Of rows of `result_object`: an image's object of its reading that stands; a study's of its newest revision.

    A note that retires others is neither.
    """
    of_reading = exists().where(
        instance.c.id == result_object.c.instance_id,
        instance.c.is_current == 1,
        instance.c.revision == result_object.c.revision,
    )
    newest = (
        select(func.max(study_revision.c.revision))
        .where(study_revision.c.study_instance_uid == result_object.c.study_instance_uid)
        .scalar_subquery()
    )
    of_revision = and_(
        result_object.c.instance_id.is_(None),
        result_object.c.kind != str(ResultKind.REJECTION),
        result_object.c.revision == newest,
    )
    return or_(of_reading, of_revision)
