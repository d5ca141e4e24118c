"""docs/api.md is true: every route is on it, and its commands run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phantoms import uid_of
from tests.results.hand_made import POSITIVE
from tests.test_docs import blocks, read

from .conftest import Site, make_site
from .live_site import live_site
from .studies import Walk, archive_for_all
from .test_predict import token_for
from .worklist_films import film_of, follow


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """A node that read one film and delivered all of it."""
    for site in make_site(tmp_path, archive_for_all()):
        walk = Walk(site)
        walk.whole([(film_of("documented"), POSITIVE)])
        follow(site)
        yield walk


def test_every_route_is_on_the_page(site: Site) -> None:
    """By its path; of acts in a row the last word is enough."""
    page = read("api.md") + read("monitoring.md")
    for path in site.app.openapi()["paths"]:
        shape = re.sub(r"\\{[^}]+\\}", r"[^\\s/`]+", re.escape(path))
        word = re.escape(path.rpartition("/")[2])
        assert re.search(rf"{shape}[\s`\"?]|`{word}`", page), path


def test_the_commands_of_the_page_run(walk: Walk) -> None:
    """Each curl about studies and deliveries, with a token that may read and act: none fails."""
    token = token_for(walk.site, "read", "act")
    commands = [
        line
        for block in blocks(read("api.md").partition("## Studies, jobs")[2], "sh")
        for line in block.splitlines()
    ]
    assert len(commands) >= 4
    environment = {**os.environ, "TOKEN": token, "STUDY": uid_of("documented")}
    with live_site(walk.site.context) as served:
        answers = [
            subprocess.run(
                ["bash", "-c", command.replace("http://127.0.0.1:8080", served.url)],
                env=environment, capture_output=True, text=True, timeout=60, check=True,
            ).stdout
            for command in commands
        ]  # fmt: skip
    assert f'"study_instance_uid":"{uid_of("documented")}"' in answers[0]
    assert "again" in answers[2]
    assert "urgent" in answers[3]
