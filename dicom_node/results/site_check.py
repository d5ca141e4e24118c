"""Whether a destination's choices of language, font and character set can be used, before any film comes."""

from __future__ import annotations

from dicom_node.errors import CompositionError, SettingsError
from dicom_node.results.character_set import writable
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.messages import every_message
from dicom_node.results.typeface import font_of, missing_letters
from dicom_node.settings import Destination

# What is written beside a catalogue's words: models, digests, numbers.
_ALWAYS = "".join(chr(code) for code in range(0x21, 0x7F))


def check_appearance(destination: Destination) -> str:
    """What to know of a destination's choices; empty where all is as the settings say.

    Raises:
        SettingsError: a catalogue or a font that cannot be used; the message names destination, key, file, text
            and remedy.
    """
    profile = DestinationProfile.of(destination)
    try:
        wording = profile.wording
    except CompositionError as error:
        raise SettingsError(f"destination {destination.name}: catalogue: {error}") from error
    texts = [wording.translate(message) for message in every_message()]
    _check_font(profile, [_ALWAYS, *texts])
    unfit = [text for text in texts if not writable(text, profile.character_set)]
    if unfit:
        return (
            f'destination {destination.name}: character_set = "{profile.character_set}" lacks letters of '
            f'"{unfit[0]}"; what holds them is written in ISO_IR 192'
        )
    return ""


def _check_font(profile: DestinationProfile, texts: list[str]) -> None:
    try:
        typeface = profile.typeface
        font_of(12, typeface)
        missing = missing_letters(typeface, texts)
    except CompositionError as error:
        raise SettingsError(f"destination {profile.name}: font: {error}") from error
    if missing:
        letter, text = next(iter(missing.items()))
        more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SettingsError(
            f'destination {profile.name}: font: {typeface.name} has no glyph of "{letter}" in "{text}"{more}; '
            "give a TrueType file that has it"
        )
