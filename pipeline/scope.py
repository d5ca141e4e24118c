"""The header's gate: which instances are no film for this model, before any pixel is touched.

What the header leaves open passes: an absent or unknown body part is no reason to withhold a reading.
"""

from __future__ import annotations

import re
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from pipeline.errors import ScopeError
from pipeline.findings import NotProcessed
from pipeline.header_values import integer_of, items_of, text_of
from pipeline.patient_age import age_in_years

_READ: Final = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Body Part Examined, code meanings and what consoles write there, in capitals and without separators.
OTHER_BODY_PARTS: Final = _words(
    """
    CHEST THORAX TORAX THORACIC LUNG LUNGS HEART MEDIASTINUM TRACHEA RIB RIBS RIPPEN STERNUM CHESTABDOMEN
    ABDOMEN ABDOMENPELVIS KUB STOMACH COLON BLADDER KIDNEY KIDNEYS LIVER ESOPHAGUS OESOPHAGUS
    SKULL CRANIUM SCHAEDEL SCHADEL CRANE HEAD HEADNECK NECK FACE FACIAL FACIALBONES ORBIT ORBITS EYE NOSE
    NASALBONE NASALBONES SINUS SINUSES PARANASALSINUS MASTOID MASTOIDS ZYGOMA SELLA SELLATURCICA LARYNX
    SPINE CSPINE TSPINE LSPINE SSPINE DSPINE CTSPINE TLSPINE LSSPINE WHOLESPINE CERVICAL CERVICALSPINE
    THORACICSPINE LUMBAR LUMBARSPINE SACRUM COCCYX VERTEBRA VERTEBRAE VERTEBRALCOLUMN WIRBELSAEULE
    WIRBELSAULE HWS BWS LWS RACHIS COLUMNA
    BREAST MAMMA MAMMOGRAPHY
    JAW JAWREGION MANDIBLE MAXILLA TMJ TOOTH TEETH DENTAL PANORAMIC OPG
    WHOLEBODY ENTIREBODY BABYGRAM PHANTOM
    """
)
# Words that keep a compound name in scope ("SHOULDER WITH RIBS", "RADIAL HEAD").
_SCOPE_WORDS: Final = _words(
    """
    HAND FINGER FINGERS THUMB WRIST SCAPHOID FOREARM RADIUS RADIAL ULNA ELBOW HUMERUS HUMERAL ARM UPPERARM
    SHOULDER CLAVICLE SCAPULA EXTREMITY LIMB PELVIS HIP HIPS FEMUR FEMORAL THIGH KNEE PATELLA LEG LOWERLEG
    UPPERLEG TIBIA TIBIAL FIBULA FIBULAR ANKLE CALCANEUS HEEL FOOT FEET TOE TOES
    """
)
# Anatomic regions of CID 4031 that lie elsewhere: SNOMED CT (SCT) and the older SNOMED-RT code (SRT, SNM3).
OTHER_REGIONS: Final[dict[str, str]] = {
    "816094009": "T-D3000", "51185008": "T-D3000", "416550000": "R-FAB55", "416775004": "R-FAB56",
    "80891009": "T-32000", "72410000": "T-D3300", "113197003": "T-11300", "56873002": "T-11210",
    "818981001": "T-D4000", "113345001": "T-D4000", "818982008": "R-FAB57", "89546000": "T-11100",
    "69536005": "T-D1100", "774007": "T-D1000", "45048000": "T-D1600", "417437006": "R-FAB52",
    "416152001": "R-FAB53", "416319003": "R-FAB54", "91397008": "T-11196", "371398005": "T-D0801",
    "363654007": "T-D14AE", "81745001": "T-AA000", "74386004": "T-11149", "2095001": "T-22000",
    "59066005": "T-11133", "13881006": "T-11166", "42575006": "T-D1460", "4596009": "T-24100",
    "44567001": "T-25000", "421060004": "T-D04FF", "122494005": "T-11501", "122495006": "T-11502",
    "122496007": "T-11503", "1217257000": "", "1217253001": "", "1217254007": "", "1217256009": "",
    "110517009": "T-11011", "54735007": "T-11AD0", "64688005": "T-11BF0", "76752008": "T-04000",
    "661005": "T-D1213", "91609006": "T-11180", "70925003": "T-11170", "53620006": "T-15290",
    "38199008": "T-54010", "38266002": "T-D0010", "706342009": "R-FE0C7",
}  # fmt: skip
_CODES: Final = frozenset(OTHER_REGIONS) | frozenset(filter(None, OTHER_REGIONS.values()))
# View Position words of teeth, heads and breasts, in capitals and without separators. ML and LM are limbs' too.
OTHER_VIEWS: Final = _words(
    """
    PANORAMIC PANO OPG PANOREX BITEWING PERIAPICAL OCCLUSAL INTRAORAL CEPHALOMETRIC CEPH
    WATERS TOWNE CALDWELL SUBMENTOVERTICAL SMV VERTICOSUBMENTAL PARIETOACANTHIAL ACANTHIOPARIETAL ORBITOPARIETAL
    PARIETOORBITAL STENVERS SCHULLER RHESE
    CC MLO XCC XCCL XCCM LMO SIO ISO FB MAMMOGRAPHY
    """
)
# View Code Sequence: CID 4014 (breast) without the lateral views, and the head's of CID 4010 and 4012.
OTHER_VIEW_CODES: Final[dict[str, str]] = {
    "399162004": "R-10242", "399368009": "R-10226", "399192008": "R-1024A", "399101009": "R-1024B",
    "399099002": "R-10230", "441555000": "R-40AAA", "399188001": "R-102D0", "399196006": "R-10244",
    "399242004": "R-102C6", "399351005": "R-102C7", "260499007": "R-40810", "399360002": "R-10257",
    "399255003": "R-10256", "399272005": "R-102C5", "399316002": "R-102C8", "260473000": "R-407B0",
    "399270002": "R-102AB", "399358004": "R-10269", "399349006": "R-102A5", "399290006": "R-102A1",
    "399234000": "R-102A0",
}  # fmt: skip
_VIEW_CODES: Final = frozenset(OTHER_VIEW_CODES) | frozenset(OTHER_VIEW_CODES.values())
_SCHEMES: Final = frozenset({"SCT", "SRT", "SNM3", "99SDM"})


def refuse_out_of_scope(ds: Dataset, *, minimum_age_years: float | None = None) -> None:
    """Passes CR and DX for presentation of limbs, hip and shoulder, and of body parts that the header leaves open.

    `minimum_age_years`: younger patients are refused; one whose age the header does not say passes.

    Raises:
        ScopeError: another SOP class, for processing, colour, more than one frame, another body part or view, or
            a patient who is too young.
    """
    sop_class = text_of(ds, "SOPClassUID")
    intent = text_of(ds, "PresentationIntentType")
    if sop_class == DigitalXRayImageStorageForProcessing:
        raise ScopeError(NotProcessed.FOR_PROCESSING)
    if sop_class not in _READ:
        raise ScopeError(NotProcessed.SOP_CLASS)
    if intent == "FOR PROCESSING":
        raise ScopeError(NotProcessed.FOR_PROCESSING)
    photometric = text_of(ds, "PhotometricInterpretation")
    if integer_of(ds, "SamplesPerPixel") not in (1, None) or not photometric.startswith("MONOCHROME"):
        raise ScopeError(NotProcessed.PHOTOMETRIC)
    if (integer_of(ds, "NumberOfFrames") or 1) > 1:
        raise ScopeError(NotProcessed.MULTI_FRAME)
    if names_other_body_part(ds):
        raise ScopeError(NotProcessed.BODY_PART)
    if names_other_view(ds):
        raise ScopeError(NotProcessed.VIEW)
    age = age_in_years(ds)
    if minimum_age_years is not None and age is not None and age < minimum_age_years:
        # The age itself is the patient's own affair: it does not belong into logs and lists.
        raise ScopeError(NotProcessed.AGE, f"below {minimum_age_years:g} years")


def unchecked_age(ds: Dataset, minimum_age_years: float | None) -> str:
    """What is said beside the reading of a film whose patient's age could not be compared; else empty."""
    if minimum_age_years is None or age_in_years(ds) is not None:
        return ""
    return f"age not in the header, so not compared with {minimum_age_years:g} years"


def names_other_body_part(ds: Dataset) -> bool:
    """True if Body Part Examined or Anatomic Region Sequence names a part that the model was not made for."""
    return is_other_name(text_of(ds, "BodyPartExamined")) or any(
        _is_other_code(item) for item in items_of(ds, "AnatomicRegionSequence")
    )


def names_other_view(ds: Dataset) -> bool:
    """True if View Position or View Code Sequence names a view of teeth, head or breast, and nothing names a limb."""
    names = [text_of(ds, "BodyPartExamined")]
    names += [text_of(item, "CodeMeaning") for item in items_of(ds, "AnatomicRegionSequence")]
    if any(_names_limb(name) for name in names):
        return False
    words = _letters(text_of(ds, "ViewPosition"))
    if "".join(words) in OTHER_VIEWS or OTHER_VIEWS.intersection(words):
        return True
    return any(
        text_of(item, "CodingSchemeDesignator") in _SCHEMES
        and text_of(item, "CodeValue") in _VIEW_CODES
        for item in items_of(ds, "ViewCodeSequence")
    )


def is_other_name(name: str) -> bool:
    """True for a name that speaks of another part and of none that the model knows."""
    words = _letters(name)
    if _names_limb(name):
        return False
    return "".join(words) in OTHER_BODY_PARTS or bool(OTHER_BODY_PARTS.intersection(words))


def _names_limb(name: str) -> bool:
    words = _letters(name)
    return bool(_SCOPE_WORDS.intersection(words)) or "".join(words) in _SCOPE_WORDS


def _letters(name: str) -> list[str]:
    return re.findall(r"[A-Z]+", name.upper().replace("Ä", "AE"))


def _is_other_code(item: Dataset) -> bool:
    if text_of(item, "CodingSchemeDesignator") in _SCHEMES:
        return text_of(item, "CodeValue") in _CODES
    return is_other_name(text_of(item, "CodeMeaning"))
