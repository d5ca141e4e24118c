"""What every table of the settings file is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# PS3.5 6.2, VR AE: 16 characters, no backslash, no control characters; compared without padding.
AeTitle = Annotated[
    str, StringConstraints(min_length=1, max_length=16, pattern=r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$")
]
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]
# Timezone Offset From UTC (PS3.3 C.12.1.1.8).
ZoneOffset = Annotated[str, StringConstraints(pattern=r"^[+-](0\d|1[0-4])[0-5]\d$")]


class Section(BaseModel):
    """A table of the file: frozen, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)
