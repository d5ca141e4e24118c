"""The codes of a package's labels (PS3.3 8.8): SNOMED CT where the meaning is known, else this project's own."""

from __future__ import annotations

from pipeline.model_description import Code

# PS3.16 8: designators of private schemes begin with 99. The node writes the same one into its results.
OWN_SCHEME = "99FRACNODE"
FRACTURE = Code(value="72704001", scheme="SCT", meaning="Fracture")
_PARTS = {
    "hand": Code(value="53120007", scheme="SCT", meaning="Upper limb"),
    "leg": Code(value="61685007", scheme="SCT", meaning="Lower limb"),
    "hip": Code(value="29836001", scheme="SCT", meaning="Hip"),
    "shoulder": Code(value="16982005", scheme="SCT", meaning="Shoulder"),
}


def part_code(name: str, index: int) -> Code:
    """The code of a body part; one that is not ours by name gets its number in the package."""
    return _PARTS.get(name) or Code(value=f"FN-PART-{index}", scheme=OWN_SCHEME, meaning=name[:64])
