"""UIDs that name bytes: derived from all that shapes them, so that doing a step again makes the same."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence

# Our own, under the UUID-derived root (PS3.5 B.2): fixed for the life of the software.
IMPLEMENTATION_CLASS_UID = "2.25.9571106742739026934040363658880057226"
IMPLEMENTATION_VERSION_NAME = "FRACTURENODE_01"
# Coding scheme of our own codes (PS3.16 8: private designators begin with 99).
CODING_SCHEME_DESIGNATOR = "99FRACNODE"
CODING_SCHEME_UID = "2.25.30742906216750902367574664922637398136"

MANUFACTURER = "Fracture Node project"
MANUFACTURER_MODEL_NAME = "Fracture Node"

Shape = str | int | float | bool | None | Sequence["Shape"] | Mapping[str, "Shape"]


def digest_of(shape: Shape) -> str:
    """sha256 of a canonical JSON text."""
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def derive_uid(installation_id: uuid.UUID, shape: Shape) -> str:
    """A UID under 2.25 (PS3.5 B.2) from everything in `shape`, apart for each installation."""
    return f"2.25.{uuid.uuid5(installation_id, digest_of(shape)).int}"


def device_uid(installation_id: uuid.UUID) -> str:
    """The UID of this installation as a device (Device UID 0018,1002)."""
    return f"2.25.{installation_id.int}"
