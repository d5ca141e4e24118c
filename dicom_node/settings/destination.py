"""Where results go, and what each destination wants of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, HttpUrl, Tag, model_validator

from dicom_node.settings.section import AeTitle, Name, Port, Section, ZoneOffset

OutcomeName = Literal["fracture", "doubt", "no fracture", "not processed"]
ObjectName = Literal["sr", "sc", "summary", "gradcam", "gsps", "seg", "kos"]
LanguageName = Literal["en", "de", "fr", "es", "it"]
TransferSyntaxName = Literal["uncompressed", "jpeg-ls", "jpeg-2000", "rle"]
CharacterSetName = Literal["ISO_IR 100", "ISO_IR 101", "ISO_IR 144", "ISO_IR 192", "GB18030"]
# PS3.16 CID 7010: other reasons than these two would say something untrue of the patient or the film.
RejectionTitle = Literal["113001", "113037"]
EVERY_OUTCOME: tuple[OutcomeName, ...] = ("fracture", "doubt", "no fracture", "not processed")


class SeriesOfObject(Section):
    """How one kind of object stands in the study; what is left out stays as documented."""

    number: int | None = Field(None, ge=1, le=2147483647, description="Series Number")
    description: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Series Description; say that it is research only",
    )
    modality: str | None = Field(
        None,
        pattern=r"^[A-Z0-9_]{1,16}$",
        description="Modality of captures (sc, summary, gradcam), for archives that show no OT",
    )


class Destination(Section):
    """What is common to all destinations: what they get, and how it looks."""

    name: Name = Field(description="what routes and commands call it")
    objects: tuple[ObjectName, ...] = Field(("sr", "sc"), min_length=1, description="what is sent")
    overlay_for: tuple[OutcomeName, ...] = Field(
        ("fracture", "doubt"), description="outcomes whose image gets an overlay"
    )
    report_for: tuple[OutcomeName, ...] = Field(
        EVERY_OUTCOME,
        min_length=1,
        description="outcomes whose image gets a line in the report and the summary",
    )
    language: LanguageName = Field("en", description="of the text that people see; codes stay English")
    catalogue: Path | None = Field(
        None, description="a gettext catalogue (.po or .mo) in place of the language's own"
    )
    font: Path | None = Field(
        None, description="a TrueType font for captures; default: one that comes with the node"
    )
    series: dict[ObjectName, SeriesOfObject] = Field(
        {}, description="other series numbers, descriptions, modalities, e.g. [destinations.series.sc] with number = 950"
    )  # fmt: skip
    overlay_longest_side: int = Field(
        2048, ge=256, le=8192, description="pixels of an overlay's longest side"
    )
    overlay_bits: Literal[8, 24] = Field(
        24,
        description="bits of an overlay's pixel: 24 is colour, 8 is grey, for archives without colour",
    )
    transfer_syntax: TransferSyntaxName = Field(
        "uncompressed", description="of captures, where the destination takes it; without loss"
    )
    character_set: CharacterSetName | None = Field(
        None, description="of what we write, where it fits; default: the film's own"
    )
    timezone: ZoneOffset | None = Field(
        None, description="of our dates and times where the film has none; default: node.timezone"
    )
    rejection_note: bool = Field(
        False, description="send a Key Object note that retires results which a new revision replaces"
    )
    rejection_title: RejectionTitle = Field(
        "113001",
        description="its title: 113001 Rejected for Quality Reasons, or 113037 where results must vanish",
    )
    deliver_within_hours: float = Field(
        72, gt=0, description="tried for so long, then parked and shown"
    )
    timeout_seconds: float = Field(30, gt=0, description="for an association and for each response")

    @property
    def where(self) -> str:
        """How it is reached, as people write it."""
        return self.name


class DicomDestination(Destination):
    """A Storage SCP: results go by C-STORE."""

    kind: Literal["dicom"] = Field("dicom", description="how it is reached: C-STORE")
    ae_title: AeTitle = Field(description="the AE title that we call")
    host: str = Field(description="its address or name")
    port: Port = Field(description="the port of its Storage SCP")
    calling_ae_title: AeTitle | None = Field(None, description="default: the node's first AE title")
    storage_commitment: bool = Field(
        False, description="ask the archive to take responsibility for what it stored (N-ACTION)"
    )
    commitment_within_hours: float = Field(
        24, gt=0, description="asked again for so long; then shown as never committed"
    )
    ask_before_sending_again: bool = Field(
        False,
        description="before an object is sent again, ask the archive whether it has it (C-FIND, IMAGE level)",
    )

    @property
    def where(self) -> str:
        """AE title, host and port."""
        return f"{self.ae_title}@{self.host}:{self.port}"


class DicomwebDestination(Destination):
    """A DICOMweb server: results go by STOW-RS."""

    kind: Literal["dicomweb"] = Field(description="how it is reached: STOW-RS")
    url: HttpUrl = Field(description='the service\'s root, e.g. "https://archive.example/dicom-web"')
    token_file: Path | None = Field(None, description="a file that holds a bearer token")
    username: str | None = Field(None, description="for basic authentication")
    password_file: Path | None = Field(None, description="a file that holds the password of `username`")
    certificate_authority: Path | None = Field(
        None, description="a PEM file of authorities to trust; default: those of the system"
    )

    @property
    def where(self) -> str:
        """The service's root, without a slash at its end."""
        return str(self.url).rstrip("/")

    @model_validator(mode="after")
    def _one_way_in(self) -> DicomwebDestination:
        if self.url.username or self.url.password:
            raise ValueError("url holds a name or a password; give username and password_file")
        if self.url.query or self.url.fragment:
            raise ValueError("url goes on after its path; give the service's root alone")
        if self.token_file and self.username:
            raise ValueError("token_file and username are two ways to say who we are; give one")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together; give both or neither")
        return self


class FolderDestination(Destination):
    """A folder: results are written as files, for research."""

    kind: Literal["folder"] = Field(description="how it is reached: files in a folder")
    path: Path = Field(description="where the files go: one folder per study, named by digests")

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.path)


def _kind(given: Any) -> str:
    kind = given.get("kind", "dicom") if isinstance(given, dict) else getattr(given, "kind", "dicom")
    return str(kind)


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[DicomwebDestination, Tag("dicomweb")]
    | Annotated[FolderDestination, Tag("folder")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message='give "dicom", "dicomweb" or "folder"',
    ),
]
