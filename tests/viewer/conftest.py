"""Where the pictures of the viewer's window are kept, and a last line that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_KEPT = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `DICOM_NODE_TEST_PICTURES` names, else one that pytest keeps for a while."""
    named = os.environ.get("DICOM_NODE_TEST_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    request.config.stash[_KEPT] = folder
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names the folder."""
    folder = config.stash.get(_KEPT, None)
    if folder is not None:
        terminalreporter.write_line(f"pictures of the viewer's window: {folder}")
