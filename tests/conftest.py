"""What holds for every test."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Tables as wide as they like, wherever the tests run: else names that are looked for are broken in two."""
    os.environ["COLUMNS"] = "400"
