"""What a destination's choices change, and what they leave alone: destinations that agree share an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pymupdf_fonts
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject
from dicom_node.results.catalogue import catalogue_file
from dicom_node.results.composition import REPORT_SOP_CLASSES, DestinationProfile
from dicom_node.results.result_instance import unmet_character_set
from dicom_node.results.series import CAPTURES, SeriesChoice, series_of
from dicom_node.settings import DicomDestination
from tests.phantoms import header_case, phantom
from tests.results import every_object
from tests.results.hand_made import CONTEXT, POSITIVE, overlay, read_back, report

BASE = DestinationProfile("pacs", 512)
KINDS = {
    "sr": ResultKind.REPORT,
    "sc": ResultKind.OVERLAY,
    "kos": ResultKind.KEY_OBJECTS,
    "rejection": ResultKind.REJECTION,
    "summary 1": ResultKind.SUMMARY,
    "gsps": ResultKind.PRESENTATION,
    "gradcam": ResultKind.EXPLANATION,
    "seg": ResultKind.SEGMENTATION,
}
# Made of the profile's digest: what differs only in these has the same content.
_DERIVED = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "MediaStorageSOPInstanceUID",
    "DimensionOrganizationUID",
)
Change = Callable[[Path], dict[str, object]]


def _font(folder: Path) -> dict[str, object]:
    path = folder / "fira.ttf"
    path.write_bytes(pymupdf_fonts.myfont("figo"))
    return {"font": path}


def _catalogue(folder: Path) -> dict[str, object]:
    path = folder / "site.po"
    path.write_bytes(catalogue_file("fr").read_bytes())
    return {"catalogue": path}


def _all_series(**choice: object) -> Change:
    chosen = tuple((kind, SeriesChoice(**choice)) for kind in ResultKind)  # type: ignore[arg-type]
    return lambda _: {"series": chosen}


CHANGES: dict[str, Change] = {
    "name": lambda _: {"name": "another"},
    "overlay_longest_side": lambda _: {"overlay_longest_side": 700},
    "report_class": lambda _: {"report_class": REPORT_SOP_CLASSES[1]},
    "overlay_bits": lambda _: {"overlay_bits": 8},
    "language": lambda _: {"language": "de"},
    "catalogue": _catalogue,
    "font": _font,
    "series number": _all_series(number=950),
    "series description": _all_series(description="For research only"),
    "series modality": _all_series(modality="DX"),
    "our own series": _all_series(number=None),
    "transfer_syntax_uid": lambda _: {"transfer_syntax_uid": RLELossless},
    "character_set": lambda _: {"character_set": "ISO_IR 192"},
    "timezone": lambda _: {"timezone": "+0530"},
    "rejection_title": lambda _: {"rejection_title": "113037"},
}
# Beside these, a choice changes every kind of object.
ONLY: dict[str, frozenset[ResultKind]] = {
    "name": frozenset(),
    "our own series": frozenset(),
    "overlay_longest_side": CAPTURES,
    "report_class": frozenset({ResultKind.REPORT}),
    "overlay_bits": CAPTURES,
    "font": CAPTURES,
    "series modality": CAPTURES,
    "transfer_syntax_uid": CAPTURES,
    "rejection_title": frozenset({ResultKind.REJECTION}),
}


@lru_cache(maxsize=32)
def objects(profile: DestinationProfile) -> dict[ResultKind, ResultObject]:
    """Every kind of object of one film, for a destination."""
    case = every_object.Case(next(iter(every_object.HEADER_CASES)), "positive", profile.name,
                             "portrait", "MONOCHROME2", "DX")  # fmt: skip
    every_object.DESTINATIONS[profile.name] = profile
    made = every_object.objects_of(case)
    return {KINDS[name]: made[name] for name in KINDS}


def content(result: ResultObject) -> Dataset:
    """An object without what is derived from its profile's digest."""
    ds = read_back(result)
    for one in (ds, ds.file_meta):
        for keyword in _DERIVED:
            if keyword in one:
                delattr(one, keyword)
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in ds.get(keyword, []):
            del item.DimensionOrganizationUID
    del ds.file_meta.FileMetaInformationGroupLength
    return ds


@pytest.mark.parametrize("name", CHANGES)
def test_a_choice_changes_the_digest_of_those_objects_whose_content_it_changes(
    name: str, tmp_path: Path
) -> None:
    """For every choice and every kind; two destinations share what looks the same to both, and never more."""
    changed = replace(BASE, **CHANGES[name](tmp_path))
    before, after = objects(BASE), objects(changed)
    for kind in KINDS.values():
        first, second = content(before[kind]), content(after[kind])
        differs = first != second or first.file_meta != second.file_meta
        assert differs == (kind in ONLY.get(name, frozenset(ResultKind))), kind
        assert (BASE.digest(kind) != changed.digest(kind)) == differs, kind
        same_bytes = before[kind].data == after[kind].data
        same_uid = before[kind].sop_instance_uid == after[kind].sop_instance_uid
        assert same_bytes == same_uid == (not differs), kind


def test_every_choice_is_tried() -> None:
    """A new one needs a line above."""
    fields = {name for name in DestinationProfile.__dataclass_fields__ if name != "series"}
    assert fields <= set(CHANGES)


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    """Not by its name: a catalogue that is edited makes new objects, one that is moved makes the same."""
    first, second = tmp_path / "a.po", tmp_path / "b.po"
    text = catalogue_file("es").read_text(encoding="utf-8")
    first.write_text(text, encoding="utf-8")
    second.write_text(text, encoding="utf-8")
    digest = replace(BASE, catalogue=first).digest(ResultKind.REPORT)
    assert replace(BASE, catalogue=second).digest(ResultKind.REPORT) == digest
    second.write_text(text.replace("Sospecha de fractura", "Posible fractura"), encoding="utf-8")
    edited = replace(BASE, catalogue=second)
    assert edited.digest(ResultKind.REPORT) != digest
    assert edited.wording.text("Fracture suspected") == "Posible fractura"


def test_a_site_places_each_kind_in_a_series_of_its_own_choosing() -> None:
    """Number, description and, of captures, modality; what is left out stays as documented."""
    place = DicomDestination(
        name="pacs", ae_title="PACS", host="127.0.0.1", port=104, language="de",
        series={"sc": {"number": 950, "description": "Forschung", "modality": "DX"}, "sr": {"number": 951}},
    )  # fmt: skip
    profile = DestinationProfile.of(place)
    source = phantom(modality="DX")
    capture = read_back(overlay(source, POSITIVE, profile=profile))
    assert (capture.SeriesNumber, capture.SeriesDescription, capture.Modality) == (
        950,
        "Forschung",
        "DX",
    )
    said = read_back(report([(source, POSITIVE)], profile=profile))
    assert (said.SeriesNumber, said.Modality) == (951, "SR")
    assert said.SeriesDescription == "KI-Frakturbericht (nur Forschung)"


def test_as_shipped_each_kind_has_its_own_series() -> None:
    """Nine thousand and more, so that a viewer shows them last; each says that it is research only."""
    series = {kind: series_of(kind, BASE) for kind in ResultKind}
    assert [series[ResultKind(name)].number for name in ("sr", "sc", "gsps", "seg", "kos")] == [
        9001, 9002, 9003, 9004, 9005,
    ]  # fmt: skip
    assert all("research only" in one.description for one in series.values())
    assert len({(one.number, one.description) for one in series.values()}) == len(series)


def test_a_destinations_character_set_is_kept_where_all_fits_and_told_where_not() -> None:
    """German in ISO_IR 100; a Japanese name in ISO_IR 192, and a sentence for the log."""
    profile = replace(BASE, language="de", character_set="ISO_IR 100")
    fitting = report([(phantom(), POSITIVE)], profile=profile)
    assert read_back(fitting).SpecificCharacterSet == "ISO_IR 100"
    assert unmet_character_set(fitting, profile) == ""
    foreign = report([(header_case("IR 87 name"), POSITIVE)], profile=profile)
    assert read_back(foreign).SpecificCharacterSet == "ISO_IR 192"
    assert 'destination pacs: character_set = "ISO_IR 100"' in unmet_character_set(foreign, profile)
    assert unmet_character_set(foreign, BASE) == ""


def test_a_destinations_zone_is_used_only_where_the_film_has_none() -> None:
    """22:30:15 UTC in Delhi and in New York; a film that knows its zone is believed."""
    profile = replace(BASE, timezone="+0530")
    source = phantom()
    assert "TimezoneOffsetFromUTC" not in source
    context = replace(CONTEXT, node_timezone="-0400")
    there = read_back(report([(source, POSITIVE)], profile=profile, context=context))
    assert (there.ContentDate, there.ContentTime) == ("20240507", "040015")
    assert "TimezoneOffsetFromUTC" not in there
    here = read_back(report([(source, POSITIVE)], context=context))
    assert (here.ContentDate, here.ContentTime) == ("20240506", "183015")
    source.TimezoneOffsetFromUTC = "+0100"
    films = read_back(report([(source, POSITIVE)], profile=profile, context=context))
    assert (films.ContentDate, films.ContentTime) == ("20240506", "233015")


def test_choices_that_no_settings_allow_are_refused() -> None:
    """A caller's mistake is told before anything is composed."""
    with pytest.raises(CompositionError, match="timezone = 'CET'"):
        replace(BASE, timezone="CET")
    with pytest.raises(CompositionError, match="no class for the report"):
        replace(BASE, report_class="1.2.840.10008.5.1.4.1.1.88.11")
