"""The codes that results carry, as named constants, and the body parts that they can name.

Meanings are those of PS3.16 in English and are never localised: viewers match on some of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.coding import Code

from dicom_node.identifiers import CODING_SCHEME_DESIGNATOR
from pipeline.findings import NotProcessed, Outcome

# Document structure (PS3.16 TID 1500, 1600, 1602).
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
SHORT_LABEL = Code("125309", "DCM", "Short Label")
LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
SOURCE = Code("260753009", "SCT", "Source")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
DEVICE = Code("121007", "DCM", "Device")
MODALITY = Code("121139", "DCM", "Modality")
TARGET_REGION = Code("123014", "DCM", "Target Region")
IMAGE_LATERALITY = Code("111027", "DCM", "Image Laterality")
PIXEL_DATA_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_DATA_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
PATIENT_ORIENTATION_ROW = Code("111044", "DCM", "Patient Orientation Row")
PATIENT_ORIENTATION_COLUMN = Code("111043", "DCM", "Patient Orientation Column")
MODALITIES = {
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}

# What is said of an image or a region (PS3.16 CID 240, CID 6042, CID 219).
FRACTURE = Code("72704001", "SCT", "Fracture")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")
PROBABILITY = Code("122157", "DCM", "Probability")
# The same number under the name of what it reaches: viewers print the names of numbers, and no codes.
GRADES = {
    Outcome.FRACTURE: Code("FN-201", CODING_SCHEME_DESIGNATOR, "Fracture suspected"),
    Outcome.DOUBT: Code("FN-202", CODING_SCHEME_DESIGNATOR, "Doubt"),
    Outcome.NO_FRACTURE: Code("FN-203", CODING_SCHEME_DESIGNATOR, "Below threshold"),
}
BOUNDED_BY = Code("75958009", "SCT", "Bounded by")
SUMMARY_OF_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
FAILED = Code("111224", "DCM", "Failed")
NOT_ATTEMPTED = Code("111225", "DCM", "Not Attempted")
REASON_NOT_PROCESSED = Code("FN-000", CODING_SCHEME_DESIGNATOR, "Reason not processed")

# Units (PS3.16 CID 82, UCUM).
PERCENT = Code("%", "UCUM", "Percent")
PIXELS = Code("{pixels}", "UCUM", "Pixels")

# Key Object Selection (PS3.16 TID 2010, CID 7010).
OF_INTEREST = Code("113000", "DCM", "Of Interest")
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
# Why objects are retired (IHE RAD TF-1 47). Rejected for quality: may be hidden; for safety: must not be used or shown.
REJECTION_TITLES = {
    "113001": Code("113001", "DCM", "Rejected for Quality Reasons"),
    "113037": Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
}

# Equipment and derivation (PS3.16 CID 7005, CID 7202, CID 7162).
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
GRADIENT_CLASS_ACTIVATION = Code("130403", "DCM", "Gradient-weighted class activation")
SOURCE_IMAGE_FOR_PROCESSING = Code("121322", "DCM", "Source image for image processing operation")
SEGMENTATION = Code("113076", "DCM", "Segmentation")

# Segmented property category (PS3.16 CID 7150); the type is FRACTURE.
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")

# Laterality (PS3.16 CID 244) by Image Laterality's and Laterality's values; U (unpaired) has none.
LATERALITIES = {
    "L": Code("7771000", "SCT", "Left"),
    "R": Code("24028007", "SCT", "Right"),
    "B": Code("51440002", "SCT", "Bilateral"),
}


@dataclass(frozen=True)
class CoarsePart:
    """A body part as the model knows it: its code, and words that say how far it reaches."""

    code: Code
    words: str


COARSE_PARTS = {
    "hand": CoarsePart(Code("53120007", "SCT", "Upper limb"), "Upper limb (elbow to fingers)"),
    "leg": CoarsePart(Code("61685007", "SCT", "Lower limb"), "Lower limb (thigh to toes)"),
    "hip": CoarsePart(Code("29836001", "SCT", "Hip"), "Hip"),
    "shoulder": CoarsePart(Code("16982005", "SCT", "Shoulder"), "Shoulder"),
}

# Body Part Examined (PS3.16 Annex L) to CID 4031; spaces and underscores are left out before looking up.
HEADER_PARTS = {
    "ANKLE": Code("70258002", "SCT", "Ankle joint"),
    "ARM": Code("53120007", "SCT", "Upper limb"),
    "CALCANEUS": Code("80144004", "SCT", "Calcaneus"),
    "CHEST": Code("816094009", "SCT", "Chest"),
    "CLAVICLE": Code("51299004", "SCT", "Clavicle"),
    "CSPINE": Code("122494005", "SCT", "Cervical spine"),
    "ELBOW": Code("16953009", "SCT", "Elbow joint"),
    "EXTREMITY": Code("66019005", "SCT", "Extremity"),
    "FEMUR": Code("71341001", "SCT", "Femur"),
    "FIBULA": Code("87342007", "SCT", "Fibula"),
    "FINGER": Code("7569003", "SCT", "Finger"),
    "FOOT": Code("56459004", "SCT", "Foot"),
    "FOREARM": Code("14975008", "SCT", "Forearm"),
    "HAND": Code("85562004", "SCT", "Hand"),
    "HIP": Code("24136001", "SCT", "Hip joint"),
    "HUMERUS": Code("85050009", "SCT", "Humerus"),
    "KNEE": Code("72696002", "SCT", "Knee"),
    "LEG": Code("61685007", "SCT", "Lower limb"),
    "LOWERLEG": Code("30021000", "SCT", "Lower leg"),
    "LSPINE": Code("122496007", "SCT", "Lumbar spine"),
    "PATELLA": Code("64234005", "SCT", "Patella"),
    "PELVIS": Code("816092008", "SCT", "Pelvis"),
    "RIB": Code("113197003", "SCT", "Rib"),
    "SCAPULA": Code("79601000", "SCT", "Scapula"),
    "SHOULDER": Code("16982005", "SCT", "Shoulder"),
    "SKULL": Code("89546000", "SCT", "Skull"),
    "STERNUM": Code("56873002", "SCT", "Sternum"),
    "THIGH": Code("68367000", "SCT", "Thigh"),
    "THUMB": Code("76505004", "SCT", "Thumb"),
    "TOE": Code("29707007", "SCT", "Toe"),
    "TSPINE": Code("122495006", "SCT", "Thoracic spine"),
    "UPPERARM": Code("40983000", "SCT", "Upper arm"),
    "WRIST": Code("74670003", "SCT", "Wrist joint"),
}


def reason_code(reason: NotProcessed) -> Code:
    """Why an image was not read, in our own scheme."""
    return Code(reason.value, CODING_SCHEME_DESIGNATOR, reason.meaning)


def attempt_code(reason: NotProcessed) -> Code:
    """Whether reading was attempted (PS3.16 CID 6042)."""
    return FAILED if reason.attempted else NOT_ATTEMPTED
