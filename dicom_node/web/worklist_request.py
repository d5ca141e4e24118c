"""What can be asked of the worklist: the same words for the page and the API."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dicom_node.records import Priority
from dicom_node.register.worklist_query import Sort, WorklistFilter, WorklistQuery

OutcomeWord = Literal[
    "fracture", "doubt", "not processed", "being read", "no fracture", "no image left", "refused"
]
DeliveryWord = Literal[
    "not composed", "parked", "not committed", "waiting", "queued", "delivered", "committed",
    "cancelled", "none",
]  # fmt: skip
PriorityWord = Literal["emergency", "urgent", "routine"]


def _empty_is_none(value: Any) -> Any:
    """A form sends what was left empty, too."""
    return None if value == "" else value


_Empty = BeforeValidator(_empty_is_none)


class WorklistRequest(BaseModel):
    """Filters, search, order and place. What is left out, or empty, is everything."""

    model_config = ConfigDict(populate_by_name=True)

    outcome: Annotated[OutcomeWord | None, _Empty] = Field(
        None, description="the one of its images that a reader must not miss; refused: no study, but what came in vain"
    )  # fmt: skip
    delivery: Annotated[DeliveryWord | None, _Empty] = Field(
        None, description="the state of its deliveries that needs somebody most"
    )
    priority: Annotated[PriorityWord | None, _Empty] = None
    body_part: str = Field("", max_length=64)
    sender: str = Field("", max_length=16, description="calling AE title")
    modality: str = Field("", max_length=16)
    verdict: Annotated[Literal["agrees", "disagrees"] | None, _Empty] = None
    from_: Annotated[date | None, _Empty] = Field(
        None, alias="from", description="received on this day or later, UTC"
    )
    until: Annotated[date | None, _Empty] = Field(
        None, description="received on this day or before, UTC"
    )
    search: str = Field(
        "",
        max_length=200,
        description="part of a patient's name or ID, accession number, study UID, description or AE title",
    )
    sort: Sort = Sort.RECEIVED
    reverse: bool = Field(False, description="the other end first")
    after: str = Field("", max_length=500, description="`next` of the page before")

    def query(self) -> WorklistQuery:
        """As the register is asked."""
        wanted = WorklistFilter(
            outcome="" if self.outcome in (None, "refused") else str(self.outcome),
            delivery=self.delivery or "",
            priority=int(Priority[self.priority.upper()]) if self.priority else None,
            body_part=self.body_part.strip(),
            calling_ae_title=self.sender.strip(),
            modality=self.modality.strip().upper(),
            verdict=self.verdict or "",
            received_from=_midnight(self.from_, 0),
            received_until=_midnight(self.until, 1),
            search=self.search.strip(),
        )
        return WorklistQuery(wanted, self.sort, self.reverse)

    @property
    def asks_for_refusals(self) -> bool:
        """Whether refusals are part of what is asked for: they have neither outcome nor delivery."""
        of_studies = (self.delivery, self.priority, self.body_part, self.modality, self.verdict)
        return self.outcome in (None, "refused") and not any(of_studies)

    def link(self, **changed: object) -> str:
        """The address of the same list with something changed; None takes a word away."""
        words = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        words = {**words, **changed}
        kept = {name: value for name, value in words.items() if value not in (None, "", False)}
        return "?" + urlencode({name: "1" if kept[name] is True else kept[name] for name in kept})

    @property
    def told(self) -> str:
        """For the audit trail: which words were used; a search may hold a patient's name and is not repeated."""
        words = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return ", ".join(
            name if name in ("search", "after") else f"{name} {value}" for name, value in words.items()
        )


def _midnight(day: date | None, more: int, zone: tzinfo = UTC) -> float | None:
    """The beginning of a day, or of the one behind it; the last day of the calendar has none behind it."""
    if day is None or (day == date.max and more):
        return None
    return datetime.combine(day + timedelta(days=more), time(), zone).timestamp()
