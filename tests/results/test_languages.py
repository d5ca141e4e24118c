"""What people read is in the destination's language; what computers match on stays English."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pymupdf_fonts
import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.errors import SettingsError
from dicom_node.records import ResultObject
from dicom_node.results.capture_style import CaptureStyle, style_of
from dicom_node.results.catalogue import catalogue_file, read_catalogue
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.messages import Message, every_message
from dicom_node.results.overlay_drawing import card_layout
from dicom_node.results.overlay_layout import OverlayLayout, lay_out
from dicom_node.results.site_check import check_appearance
from dicom_node.results.typeface import missing_letters, own_typeface
from dicom_node.results.wording import ENGLISH, notice_words, outcome_words, percent, wording_of
from dicom_node.settings import DicomDestination, LanguageName
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, NotProcessed, Outcome
from tests.phantoms import phantom
from tests.results import every_object
from tests.results.hand_made import FAILED, NEGATIVE, POSITIVE, READINGS, overlay, read_back, report

LANGUAGES = [language for language in get_args(LanguageName) if language != "en"]
# Words of the five that nobody may change without thinking of a radiologist.
SAID = {
    "en": ("Fracture suspected 87 %", "Below threshold 4 %", "This does not exclude a fracture."),
    "de": ("Frakturverdacht 87 %", "Unter der Schwelle 4 %", "Dies schließt eine Fraktur nicht aus."),
    "fr": ("Suspicion de fracture 87 %", "Sous le seuil 4 %", "Cela n'exclut pas une fracture."),
    "es": ("Sospecha de fractura 87 %", "Por debajo del umbral 4 %", "Esto no excluye una fractura."),
    "it": ("Sospetta frattura 87%", "Sotto la soglia 4%", "Questo non esclude una frattura."),
}


def catalogue(folder: Path, **changes: str | None) -> Path:
    """A site's own catalogue: the Spanish one with texts changed by their Message's name; None leaves one out."""
    with catalogue_file("es").open("rb") as file:
        made = read_po(file)
    for name, text in changes.items():
        message = str(Message[name])
        if text is None:
            made.delete(message)
        else:
            made[message].string = text
    path = folder / "site.po"
    with path.open("wb") as file:
        write_po(file, made)
    return path


def foreign(folder: Path, language: str, letter: str) -> Path:
    """A catalogue whose every text begins with a letter of another script."""
    made = Catalog(locale=language)
    for message in every_message():
        made.add(message, "0,5" if message == Message.DECIMAL_MARK else f"{letter} {message}"[:64])
    for message in every_message():
        if len(message) > 60 and "(research only)" not in message:
            made[message].string = f"{letter} {message}"
    path = folder / f"{language}.po"
    with path.open("wb") as file:
        write_po(file, made)
    return path


def destination(**choices: object) -> DicomDestination:
    """A destination of the settings with a site's choices."""
    return DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, **choices)


def texts_of(ds: Dataset) -> dict[str, list[str]]:
    """What people read of an object, by keyword; codes and identifiers are left out."""
    said: dict[str, list[str]] = {}
    for element in ds.iterall():
        if element.keyword in (
            "ImageComments",
            "DerivationDescription",
            "SeriesDescription",
            "ContributionDescription",
        ):
            said.setdefault(element.keyword, []).append(str(element.value))
    for item in items_of(ds):
        if item.get("ValueType") == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106":
            said.setdefault("TextValue", []).append(str(item.TextValue))
    return said


def items_of(ds: Dataset) -> list[Dataset]:
    """Every content item."""
    return [one for item in ds.get("ContentSequence", []) for one in (item, *items_of(item))]


def objects(findings: ImageFindings, profile: DestinationProfile) -> dict[str, ResultObject]:
    """Report and overlay of a film with that reading."""
    source = phantom(modality="DX")
    return {
        "report": report([(source, findings)], profile=profile),
        "overlay": overlay(source, findings, profile=profile, card=findings is FAILED),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_catalogues_are_complete_and_keep_their_places(language: str) -> None:
    """Every text, each with its places for values, and nothing that no text asks for."""
    translations = read_catalogue(catalogue_file(language))
    assert translations.language == language
    assert set(translations.texts) == set(every_message())


@pytest.mark.parametrize("language", SAID)
def test_each_language_says_what_its_radiologists_say(language: str) -> None:
    """Suspicion, the words for a result below the threshold, and what that does not mean."""
    wording = wording_of(language)
    suspected, below, caution = SAID[language]
    assert outcome_words(POSITIVE, wording) == suspected
    assert outcome_words(NEGATIVE, wording) == below
    assert wording.text(Message.NOT_EXCLUDED) == caution
    assert percent(0.0, wording) != percent(0.01, wording)


@pytest.mark.parametrize("language", LANGUAGES)
def test_decimals_and_shares_are_written_as_the_language_writes_them(language: str) -> None:
    """A comma in all four, and in Italian no space before the sign."""
    comments = texts_of(
        read_back(objects(POSITIVE, DestinationProfile("pacs", 512, language=language))["report"])
    )
    share = "62,0%" if language == "it" else "62,0 %"
    assert any(share in text for text in comments["TextValue"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["positive", "negative", "failed"])
def test_nothing_that_people_read_stays_english(language: str, name: str) -> None:
    """But for the notice, which stands in both languages; the series says that it is research only."""
    findings = replace(READINGS[name], reason=READINGS[name].reason)
    wording = wording_of(language)
    english = [text for text in every_message() if len(text) > 12 and "{" not in text]
    for kind, result in objects(findings, DestinationProfile("pacs", 512, language=language)).items():
        said = texts_of(read_back(result))
        assert set(said) >= {"SeriesDescription", "ContributionDescription"}, kind
        for keyword, texts in said.items():
            for text in texts:
                left = [one for one in english if one in text.replace(RESEARCH_NOTICE, "")]
                assert not left, f"{kind} {keyword}: {text}"
        whole = " ".join(text for texts in said.values() for text in texts)
        assert wording.text(Message.NOTICE) in whole
        assert outcome_words(findings, wording) in whole


# Comment and Short Label.
FOR_PEOPLE = ("121106", "125309")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_viewers_and_indexes_match_on_stays_english(language: str) -> None:
    """Code meanings, tracking identifiers, algorithm parameters and all codes are those of the English report."""

    def matched(profile: DestinationProfile) -> list[tuple[str, str]]:
        ds = read_back(objects(POSITIVE, profile)["report"])
        found = [("", str(one.CodeMeaning)) for one in _codes(ds)]
        for item in items_of(ds):
            name = item.ConceptNameCodeSequence[0] if "ConceptNameCodeSequence" in item else Dataset()
            if item.get("ValueType") == "TEXT" and name.CodeValue not in FOR_PEOPLE:
                found.append((str(name.CodeValue), str(item.TextValue)))
        return found

    assert matched(DestinationProfile("pacs", language=language)) == matched(DestinationProfile("pacs"))


def _codes(ds: Dataset) -> list[Dataset]:
    """Every code, but for those of the language."""
    here = [
        item
        for element in ds
        if element.VR == "SQ"
        for item in element.value
        if "CodeMeaning" in item
        and item.CodingSchemeDesignator != "RFC5646"
        and item.CodeValue != "121049"
    ]
    below = [
        code for element in ds if element.VR == "SQ" for item in element.value for code in _codes(item)
    ]
    return here + below


@pytest.mark.parametrize("language", SAID)
def test_no_letter_of_a_language_lacks_its_glyph(language: str) -> None:
    """No empty box where a letter belongs."""
    wording = wording_of(language)
    assert not missing_letters(own_typeface(), [wording.translate(text) for text in every_message()])


@given(
    language=st.sampled_from(sorted(SAID)),
    name=st.sampled_from(sorted(READINGS)),
    reason=st.sampled_from(list(NotProcessed)),
    side=st.sampled_from([256, 400, 512, 2048]),
    shape=st.sampled_from([(2500, 2048), (1000, 3000), (3000, 400)]),
)
@settings(max_examples=60, deadline=None)
def test_no_line_leaves_the_picture_in_any_language(
    language: str, name: str, reason: NotProcessed, side: int, shape: tuple[int, int]
) -> None:
    """Each line ends before the margin, and the picture within the destination's longest side."""
    findings = READINGS[name]
    if findings.outcome is Outcome.NOT_PROCESSED:
        findings = replace(findings, reason=reason)
    style = CaptureStyle(wording_of(language))
    layout = lay_out(*shape, findings, longest_side=side, style=style)
    for made in (layout, card_layout(findings, longest_side=side, style=style)):
        assert max(made.width, made.height) <= side
        _assert_lines_fit(made)


def _assert_lines_fit(layout: OverlayLayout) -> None:
    indent = max(3, layout.unit // 4) + round(layout.margin * 0.7)
    for lines, start in ((layout.header, layout.margin + indent), (layout.footer, layout.margin)):
        for line in lines:
            assert start + layout.font_of(line.rank).getlength(line.text) <= layout.width, line


@pytest.mark.parametrize("language", SAID)
def test_every_overlay_carries_the_notice_in_its_language(language: str) -> None:
    """In the pixels, whatever the result."""
    style = style_of(DestinationProfile("pacs", language=language))
    for findings in READINGS.values():
        footer = lay_out(2000, 1600, findings, longest_side=1024, style=style).footer
        assert style.wording.text(Message.NOTICE) in " ".join(line.text for line in footer)


def test_a_sites_own_catalogue_is_read_as_po_and_as_mo(tmp_path: Path) -> None:
    """Both give the same words, in reports and in pictures."""
    po = catalogue(tmp_path, FRACTURE="Posible fractura")
    with po.open("rb") as file:
        made = read_po(file)
    mo = tmp_path / "site.mo"
    with mo.open("wb") as file:
        write_mo(file, made)
    pictures = []
    for path in (po, mo):
        profile = DestinationProfile.of(destination(catalogue=path, overlay_longest_side=512))
        made_objects = objects(POSITIVE, profile)
        assert "Posible fractura 87 %" in " ".join(
            texts_of(read_back(made_objects["report"]))["TextValue"]
        )
        pictures.append(read_back(made_objects["overlay"]).PixelData)
        assert check_appearance(destination(catalogue=path)) == ""
    assert pictures[0] == pictures[1]


def test_english_is_what_the_code_holds() -> None:
    """Without a catalogue, and with the notice once."""
    assert wording_of("en") is ENGLISH
    assert notice_words(ENGLISH) == RESEARCH_NOTICE


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"NOT_EXCLUDED": None}, "This does not exclude a fracture."),
        ({"NOTICE": ""}, "For research only."),
        ({"REGION": "Región: {result}."}, "{number}"),
        ({"REGION": "Región {number.real}: {result}."}, "{number}"),
        ({"NOT_READ": "No se ha {analizado}."}, "braces"),
        ({"IMAGE": "Imagen {number: {result}."}, "{number}"),
        ({"DECIMAL_MARK": "0,50"}, "0,5"),
        ({"REPORT_SERIES": "Informe " * 9}, "64"),
        ({"FRACTURE": "Sospecha\nde fractura"}, "line ends"),
    ],
)
def test_a_catalogue_that_would_say_less_or_crash_is_refused_by_name(
    tmp_path: Path, changes: dict[str, str | None], complaint: str
) -> None:
    """When settings are checked, not when a film comes: destination, key, file, text and remedy."""
    path = catalogue(tmp_path, **changes)
    with pytest.raises(SettingsError) as refused:
        check_appearance(destination(catalogue=path))
    said = str(refused.value)
    assert said.startswith("destination pacs: catalogue: ")
    assert str(path) in said
    assert str(Message[next(iter(changes))]) in said
    assert complaint in said


def test_a_fuzzy_translation_counts_as_none(tmp_path: Path) -> None:
    """Gettext's mark for a guess that nobody has looked at."""
    path = catalogue(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('msgid "Doubt"', '#, fuzzy\nmsgid "Doubt"'), encoding="utf-8")
    with pytest.raises(SettingsError, match='"Doubt" is not translated'):
        check_appearance(destination(catalogue=path))


@pytest.mark.parametrize("language", ["", "qq"])
def test_a_catalogue_must_say_which_language_it_is(tmp_path: Path, language: str) -> None:
    """The report names the language of its words by it (PS3.16 TID 1204)."""
    path = catalogue(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Language: es", f"Language: {language}"), encoding="utf-8")
    with pytest.raises(SettingsError, match="names no known language; give"):
        check_appearance(destination(catalogue=path))


def test_the_report_names_the_language_of_its_words() -> None:
    """On each comment and short label; the document itself, with its code meanings, is English."""
    ds = read_back(objects(POSITIVE, DestinationProfile("pacs", 512, language="fr"))["report"])
    named = [one.ConceptCodeSequence[0].CodeValue for one in items_of(ds) if _is_language(one)]
    assert named == ["en-US"] + ["fr"] * (2 + 3)
    english = read_back(objects(POSITIVE, DestinationProfile("pacs", 512))["report"])
    assert sum(_is_language(one) for one in items_of(english)) == 1


def _is_language(item: Dataset) -> bool:
    name = item.get("ConceptNameCodeSequence")
    return bool(name) and name[0].CodeValue == "121049"


@pytest.mark.parametrize("reading", ["positive", "doubt", "failed"])
def test_no_kind_of_object_keeps_an_english_text(reading: str) -> None:
    """Every text of every kind in German, but for the notice's English twin, codes and what is matched on."""
    case = every_object.Case(
        next(iter(every_object.HEADER_CASES)), reading, "German, grey, JPEG-LS", "portrait", "MONOCHROME2", "DX",
    )  # fmt: skip
    english = [text for text in every_message() if len(text) > 12 and "{" not in text]
    for kind, result in every_object.objects_of(case).items():
        for keyword, text in _texts(read_back(result)):
            left = [one for one in english if one in text.replace(RESEARCH_NOTICE, "")]
            assert not left, f"{kind} {keyword}: {text}"


def _texts(ds: Dataset) -> list[tuple[str, str]]:
    """Every text of an object by keyword, but those of codes."""
    found = []
    for element in ds:
        if element.VR == "SQ":
            found += [
                one for item in element.value if "CodeMeaning" not in item for one in _texts(item)
            ]
        elif element.VR in ("LO", "LT", "ST", "UT", "SH"):
            found.append((element.keyword, str(element.value)))
    return found


@pytest.mark.parametrize("data", [None, b"no catalogue", b"\xde\x12\x04\x95broken", b'msgid "\xff"\n'])
def test_what_is_no_catalogue_is_refused_by_name(tmp_path: Path, data: bytes | None) -> None:
    """A missing file, another kind of file, a damaged one, and one in no encoding."""
    path = tmp_path / "words.po"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SettingsError, match=r"catalogue: .*words\.po"):
        check_appearance(destination(catalogue=path))


def test_a_font_without_a_letter_of_the_catalogue_is_refused_by_name(tmp_path: Path) -> None:
    """Greek and Cyrillic are in ours; Japanese needs a site's font, and a font of symbols serves nobody."""
    for language, letter in (("el", "Ω"), ("ru", "Ж")):
        assert check_appearance(destination(catalogue=foreign(tmp_path, language, letter))) == ""
    japanese = foreign(tmp_path, "ja", "骨")
    with pytest.raises(SettingsError, match='no glyph of "骨" in "骨 For research'):
        check_appearance(destination(catalogue=japanese, language="de"))
    notes = tmp_path / "notes.ttf"
    notes.write_bytes(pymupdf_fonts.myfont("music"))
    with pytest.raises(SettingsError, match=r'destination pacs: font: .*notes\.ttf has no glyph of "'):
        check_appearance(destination(font=notes))


def test_what_is_no_font_is_refused_by_name(tmp_path: Path) -> None:
    """Before a film comes."""
    path = tmp_path / "letters.ttf"
    path.write_bytes(b"no font")
    with pytest.raises(SettingsError, match=r"font: .*letters\.ttf"):
        check_appearance(destination(font=path))


def test_a_sites_font_draws_the_pictures(tmp_path: Path) -> None:
    """Other letters, the same film and the same words."""
    path = tmp_path / "fira.ttf"
    path.write_bytes(pymupdf_fonts.myfont("figo"))
    assert check_appearance(destination(font=path)) == ""
    ours = read_back(overlay(phantom(), POSITIVE, profile=DestinationProfile("pacs", 512)))
    theirs = read_back(overlay(phantom(), POSITIVE, profile=DestinationProfile("pacs", 512, font=path)))
    assert ours.PixelData != theirs.PixelData
    assert ours.ImageComments == theirs.ImageComments


def test_a_language_without_spaces_is_broken_between_letters(tmp_path: Path) -> None:
    """A line of Japanese, in a font that has its letters, does not run out of the picture."""
    path = catalogue(tmp_path, NOTICE="研究用" * 60)
    style = CaptureStyle(wording_of("es", path))
    _assert_lines_fit(lay_out(2000, 1600, POSITIVE, longest_side=512, style=style))


def test_the_check_commands_refuse_a_catalogue_and_name_it(tmp_path: Path) -> None:
    """`dicom-node config check` ends with 2, as for any other setting that cannot be used."""
    path = catalogue(tmp_path, DOUBT=None)
    file = tmp_path / "node.toml"
    file.write_text(
        f'[node]\ndata = "{tmp_path}/data"\n[[destinations]]\nname = "pacs"\nae_title = "PACS"\n'
        f'host = "127.0.0.1"\nport = 104\ncatalogue = "{path}"\n',
        encoding="utf-8",
    )
    done = CliRunner().invoke(app, ["config", "check", str(file)], env={"COLUMNS": "300"})
    assert done.exit_code == 2, done.output
    assert f'destination pacs: catalogue: {path}: "Doubt" is not translated' in done.output


def test_a_character_set_that_lacks_letters_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    """Greek in ISO_IR 100: the settings stand, and what holds Greek is written in ISO_IR 192."""
    path = foreign(tmp_path, "el", "Ω")
    note = check_appearance(destination(catalogue=path, character_set="ISO_IR 100"))
    assert 'character_set = "ISO_IR 100"' in note
    assert "ISO_IR 192" in note
    assert check_appearance(destination(language="fr", character_set="ISO_IR 100")) == ""
