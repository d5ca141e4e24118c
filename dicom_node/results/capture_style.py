"""How a capture speaks and looks at a destination: its language, its letters, and whether it has colour."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicom_node.results.capture_pixels import GREY_BITS
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.film_drawing import COLOURS, Colour
from dicom_node.results.site_file import SiteFile
from dicom_node.results.typeface import own_typeface
from dicom_node.results.wording import ENGLISH, Wording
from pipeline.findings import Outcome

# Without hue the two that matter are the brightest; a doubt is told from a fracture by its dashes.
_GREYS: dict[Outcome, Colour] = {
    Outcome.FRACTURE: (255, 255, 255),
    Outcome.DOUBT: (214, 214, 214),
    Outcome.NO_FRACTURE: (150, 150, 150),
    Outcome.NOT_PROCESSED: (110, 110, 110),
}


@dataclass(frozen=True)
class CaptureStyle:
    """What drawing needs to know of a destination; the default is what the node itself shows."""

    wording: Wording = ENGLISH
    typeface: SiteFile = field(default_factory=own_typeface)
    grey: bool = False

    def colour_of(self, outcome: Outcome) -> Colour:
        """An outcome's colour, or its grey."""
        return (_GREYS if self.grey else COLOURS)[outcome]


OWN_STYLE = CaptureStyle()


def style_of(profile: DestinationProfile) -> CaptureStyle:
    """The style of a destination's captures.

    Raises:
        CompositionError: its catalogue or its font cannot be used.
    """
    return CaptureStyle(profile.wording, profile.typeface, grey=profile.overlay_bits == GREY_BITS)
