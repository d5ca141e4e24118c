"""The shipped settings files, found alike in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path

from dicom_node.errors import SettingsError

_PACKAGE = Path(__file__).resolve().parent


def shipped_config(name: str) -> Path:
    """A file of `config/`: in the wheel beside this package, in a checkout beside the packages.

    Raises:
        SettingsError: the installation lacks it.
    """
    for folder in (_PACKAGE / "_shipped" / "config", _PACKAGE.parent / "config"):
        if (folder / name).is_file():
            return folder / name
    raise SettingsError(f"config/{name}: missing from this installation; install the package again")
