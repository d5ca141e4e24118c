"""The API does what its own description says, whatever it is sent (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dicom_node.web.app import API
from tests.web.conftest import make_site
from tests.web.live_site import live_site


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """The description of a node that has taken nothing yet."""
    folder: Path = tmp_path_factory.mktemp("described")
    for site in make_site(folder):
        with live_site(site.context) as served:
            yield schemathesis.openapi.from_url(f"{served.url}{API}/openapi.json")


def test_no_request_breaks_what_the_description_says(description: BaseSchema) -> None:
    """Right and wrong input alike: no server error, and a status, media type and body that it names."""
    wrong = []
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        try:
            _try(operation)
        except FailureGroup as group:
            wrong += [f"{operation.label}: {one}" for one in group.exceptions]
        except Failure as failure:
            wrong.append(f"{operation.label}: {failure}")
    assert not wrong, "\n\n".join(wrong)


def _try(operation: APIOperation) -> None:
    strategy = operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @given(case=strategy)
    @settings(
        max_examples=12, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def answered(case: Case) -> None:
        case.validate_response(
            case.call(timeout=60),
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    answered()
