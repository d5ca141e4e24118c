"""`dicom-node jobs`: what became of every image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dicom_node.command_line.terminal import (
    ConfigOption,
    err,
    load_settings,
    out,
    percent,
    plain_errors,
)
from dicom_node.records import Priority
from dicom_node.work.job_list import DeliveryLine, ImageLine, JobList, StudyLine
from dicom_node.work.ledger import DATABASE_NAME, Ledger

if TYPE_CHECKING:  # the engine is loaded only by the commands that act
    from dicom_node.work.job_control import JobControl

app = typer.Typer(no_args_is_help=True, help="What became of every image, and what to do about it.")
JobArgument = Annotated[str, typer.Argument(help="The job's id, or its first characters.")]


@contextmanager
def _ledger(config: ConfigOption) -> Iterator[Ledger]:
    settings = load_settings(config)
    if not (settings.node.data / DATABASE_NAME).is_file():
        err.print(f"{settings.node.data}: no ledger yet; start the node once with `dicom-node serve`")
        raise typer.Exit(1)
    with plain_errors():
        ledger = Ledger.open(settings.node.data)
        try:
            yield ledger
        finally:
            ledger.close()


@app.command("list")
def list_jobs(
    config: ConfigOption,
    state: Annotated[
        str | None,
        typer.Option(
            help='Only these: "received", "done", "cancelled"; an outcome ("fracture", "doubt", "no fracture", '
            '"not processed"); or a delivery\'s state ("queued", "waiting", "delivered", "parked"), or that of its '
            'storage commitment ("asked", "committed", "not committed", "never committed").'
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many, the latest first.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The latest images, the reports of their studies, and what was refused."""
    with _ledger(config) as ledger:
        jobs = JobList(ledger)
        images = jobs.images(limit, state=state)
        if as_json:
            for image in images:
                print(json.dumps(_as_json(image)))  # noqa: T201 - the answer itself
            return
        out.print(_image_table(images))
        _print_studies(jobs.studies(limit, state=state))
        if state is None:
            _print_notices(jobs, limit)


@app.command()
def show(job: JobArgument, config: ConfigOption) -> None:
    """Everything known of one image: header facts, reading, deliveries."""
    with _ledger(config) as ledger:
        jobs = JobList(ledger)
        image = _one(jobs, job)
        for name, value in _facts(image):
            out.print(f"[dim]{name:>20}[/]  {escape(value)}")
        for delivery in image.deliveries:
            words = _delivery_words(delivery, long=True)
            out.print(f"[dim]{'delivery':>20}[/]  {escape(words)}")
        _print_studies(jobs.studies(20, uid=image.study_instance_uid))


@app.command()
def retry(
    job: JobArgument,
    config: ConfigOption,
    read_again: Annotated[
        bool, typer.Option(help="Read the film anew whatever it said, say with a new model.")
    ] = False,
) -> None:
    """Send anew what did not arrive; read or compose anew what failed or was cancelled."""
    from dicom_node.processes import now

    with _control(job, config) as (control, image):
        out.print(f"{image.id[:12]}: {control.retry(image.id, now(), read_again=read_again)}")


@app.command()
def cancel(job: JobArgument, config: ConfigOption) -> None:
    """Take an image back: its reading, and its own deliveries that have not ended."""
    from dicom_node.processes import now

    with _control(job, config) as (control, image):
        out.print(f"{image.id[:12]}: {control.cancel(image.id, now())}")


@contextmanager
def _control(job: str, config: ConfigOption) -> Iterator[tuple[JobControl, ImageLine]]:
    from dicom_node.work.engine import WorkEngine
    from dicom_node.work.job_control import JobControl

    with _ledger(config) as ledger:
        yield JobControl(ledger, WorkEngine(ledger)), _one(JobList(ledger), job)


def _one(jobs: JobList, prefix: str) -> ImageLine:
    found = jobs.images(2, prefix=prefix) if len(prefix) >= 4 else []
    if len(found) != 1:
        reason = (
            "more than one job begins so" if found else "no job begins so; give at least 4 characters"
        )
        err.print(f"{prefix}: {reason}; `dicom-node jobs list` shows the ids", markup=False)
        raise typer.Exit(2)
    return found[0]


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%m-%d %H:%M:%S")


def _outcome(image: ImageLine) -> str:
    if image.findings is None:
        return image.state
    if image.same_as:
        return f"same film as {image.same_as[:8]}"
    return str(image.findings.outcome)


def _why(image: ImageLine) -> str:
    words = [image.reason.meaning] if image.reason else []
    return ": ".join([*words, *([image.detail] if image.detail else [])])


def _image_table(images: list[ImageLine]) -> Table:
    table = Table(
        "job",
        "received",
        "from",
        "kind",
        "outcome",
        "prob.",
        "body part",
        "deliveries",
        box=None,
        expand=True,
    )
    for image in images:
        part = image.findings.body_part if image.findings else None
        deliveries = "; ".join(_delivery_words(one) for one in image.deliveries)
        _add_row(
            table,
            image.id[:8],
            _local(image.received_at),
            image.calling_ae_title,
            image.modality,
            _outcome(image),
            percent(image.findings.fracture_probability) if image.findings else "",
            part.name if part else "",
            "\n".join(line for line in (_why(image), deliveries) if line),
        )
    return table


def _add_row(table: Table, *cells: str) -> None:
    """Cells as they are: an AE title of the wire may look like markup."""
    table.add_row(*map(escape, cells))


def _delivery_words(line: DeliveryLine, long: bool = False) -> str:
    words = f"{line.kind} to {line.destination}: {line.state}"
    if line.detail and (long or line.state != "cancelled"):
        words += f" ({line.detail})"
    if line.commitment:
        asked = line.commitment in ("due", "asked")
        words += f", commitment {line.commitment}" if asked else f", {line.commitment}"
        words += f" ({line.commitment_detail})" if line.commitment_detail else ""
    if line.next_attempt_at is not None:
        words += f", next try {_local(line.next_attempt_at)}"
    return f"{words}, {line.attempts} tries, {line.sop_instance_uid}" if long else words


def _print_studies(studies: list[StudyLine]) -> None:
    if not studies:
        return
    table = Table("study", "revision", "closed", "images", "report", box=None, expand=True)
    for line in studies:
        deliveries = "; ".join(_delivery_words(one) for one in line.deliveries)
        state = "no report: nothing in scope" if line.state == "nothing in scope" else line.state
        words = [state if line.state != "composed" else "", line.detail, deliveries]
        _add_row(
            table,
            line.study_instance_uid,
            str(line.revision),
            _local(line.closed_at),
            str(line.images),
            "; ".join(word for word in words if word),
        )
    out.print()
    out.print(table)


def _print_notices(jobs: JobList, limit: int) -> None:
    notices = jobs.notices(limit)
    if not notices:
        return
    table = Table("refused or not kept", "from", "address", "status", "why", box=None, expand=True)
    for line in notices:
        _add_row(
            table,
            _local(line.at),
            line.calling_ae_title,
            line.address,
            f"0x{line.status:04X}",
            line.text,
        )
    out.print()
    out.print(table)


def _facts(image: ImageLine) -> Iterator[tuple[str, str]]:
    yield "job", image.id
    yield "SOP Instance UID", image.sop_instance_uid
    yield "Study Instance UID", image.study_instance_uid
    yield (
        "received",
        f"{_local(image.received_at)} from {image.calling_ae_title} at {image.address}, {image.byte_count} bytes",
    )
    yield "priority", Priority(image.priority).name.lower()
    yield "state", image.state + (f", revision {image.revision}" if image.revision else "")
    yield "outcome", ", ".join(word for word in (_outcome(image), _why(image)) if word)
    if image.findings is not None:
        findings = image.findings
        yield (
            "model",
            f"{findings.model.name} {findings.model.version}, {findings.model.engine}, {findings.model.digest[:16]}",
        )
        if findings.fracture_probability is not None:
            yield (
                "fracture",
                f"{findings.fracture_probability:.1%} (fracture from {findings.thresholds.fracture:.1%}, doubt from {findings.thresholds.doubt:.1%})",
            )
        for region in findings.visible_regions:
            yield (
                "region",
                f"{region.probability:.1%} {region.outcome} at {tuple(round(edge) for edge in region.box)}",
            )


def _as_json(image: ImageLine) -> dict[str, object]:
    findings = image.findings
    return {
        "job": image.id,
        "sop_instance_uid": image.sop_instance_uid,
        "study_instance_uid": image.study_instance_uid,
        "received_at": image.received_at.isoformat(),
        "finished_at": image.finished_at.isoformat() if image.finished_at else None,
        "from": image.calling_ae_title,
        "state": image.state,
        "revision": image.revision,
        "same_as": image.same_as,
        "outcome": str(findings.outcome) if findings else None,
        "reason": _why(image) or None,
        "fracture_probability": findings.fracture_probability if findings else None,
        "body_part": findings.body_part.name if findings and findings.body_part else None,
        "deliveries": [
            {
                "kind": line.kind,
                "destination": line.destination,
                "state": line.state,
                "attempts": line.attempts,
                "detail": line.detail,
                "commitment": line.commitment or None,
                "sop_instance_uid": line.sop_instance_uid,
            }
            for line in image.deliveries
        ],
    }
