"""What `docs/results.md` says of Orthanc: it keeps a rejection note and heeds it in no list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicom_node.records import SopReference
from dicom_node.results.rejection_note import compose_rejection
from tests.node.orthanc import network_namespace, running_orthanc
from tests.phantoms import encode, phantom
from tests.real_parts import dicomweb_plugin
from tests.results.hand_made import CONTEXT, POSITIVE, PROFILE, overlay, report

pytestmark = pytest.mark.real_part


def test_orthanc_lists_what_a_rejection_note_names(tmp_path: Path) -> None:
    """In its own list and by QIDO-RS: film, overlay and report are there after the note as before, beside the note."""
    film = phantom()
    results = [report([(film, POSITIVE)]), overlay(film, POSITIVE)]
    rejected = [
        SopReference(
            one.study_instance_uid, one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid
        )
        for one in results
    ]
    note = compose_rejection(rejected, film, [POSITIVE], PROFILE, CONTEXT, revision=2)
    study = str(film.StudyInstanceUID)
    data = [encode(film, film.file_meta.TransferSyntaxUID), *(one.data for one in (*results, note))]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(data))]
    for path, held in zip(paths, data, strict=True):
        path.write_bytes(held)
    before = {str(film.SOPInstanceUID), *(one.sop_instance_uid for one in results)}
    with (
        network_namespace() as within,
        running_orthanc(tmp_path / "orthanc", within, plugins=[dicomweb_plugin()]) as orthanc,
    ):
        orthanc.store(*paths[:-1])
        assert set(orthanc.instances(study)) == before
        orthanc.store(paths[-1])
        assert set(orthanc.instances(study)) == before | {note.sop_instance_uid}
        listed = json.loads(orthanc.get_bytes(f"/dicom-web/studies/{study}/instances"))
        assert {one["00080018"]["Value"][0] for one in listed} == before | {note.sop_instance_uid}
