"""Films of studies that tests tell apart, and the worklist brought up to the ledger."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import FileDataset
from sqlalchemy import select

from dicom_node.register.tables import worklist
from dicom_node.register.worklist_follower import Followed, WorklistFollower
from dicom_node.register.worklist_query import WorklistFilter, WorklistPages
from dicom_node.register.worklist_study import WorklistStudy
from tests.phantoms import phantom, uid_of

from .conftest import Site


def film_of(study: str, image: str = "1", **header: Any) -> FileDataset:
    """A tiny film; `header` goes into its data set."""
    ds = phantom(rows=64, columns=48)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of(study), uid_of(f"{study} series")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid_of(f"{study} {image}")
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return ds


def follower(site: Site, batch: int = 200) -> WorklistFollower:
    """As the web process starts it."""
    made = WorklistFollower(site.settings.node.data, site.ledger, site.register, batch)
    made.prepare()
    return made


def follow(site: Site) -> Followed:
    """The worklist as the ledger is now."""
    return follower(site).follow()


def line(site: Site, study: str) -> WorklistStudy | None:
    """A study's line, after following."""
    follow(site)
    found = WorklistPages(site.register).lines([uid_of(study)], WorklistFilter())
    return found[0][0] if found else None


def rows(site: Site) -> list[dict[str, Any]]:
    """All of the table but its own numbers."""
    chosen = select(worklist).order_by(worklist.c.study_instance_uid)
    with site.register.read() as connection:
        found = [dict(row) for row in connection.execute(chosen).mappings()]
    for row in found:
        del row["id"]
    return found
