"""The house's walls: imports point down, and each foreign library stays in its room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "pipeline").rglob("*.py")) + sorted((ROOT / "dicom_node").rglob("*.py"))

# Foreign library -> the rooms that may import it.
ROOMS = {
    "torch": ("pipeline/",),
    "torchvision": ("pipeline/",),
    "highdicom": ("dicom_node/results/",),
    "pynetdicom": (
        "dicom_node/receiving/",
        "dicom_node/delivering/",
        "dicom_node/operating/small_archive.py",
    ),
    "dbos": ("dicom_node/work/engine.py",),
    "sqlalchemy": ("dicom_node/work/", "dicom_node/register/"),
    "fastapi": ("dicom_node/web/",),
    "starlette": ("dicom_node/web/",),
    "uvicorn": ("dicom_node/web/",),
    "typer": ("dicom_node/command_line/", "dicom_node/cli.py"),
    "rich": ("dicom_node/command_line/",),
}
# Room -> what it may import of this project.
MAY_SEE = {
    "dicom_node/results/": (
        "dicom_node.results",
        "dicom_node.records",
        "dicom_node.errors",
        "dicom_node.identifiers",
        "dicom_node.settings",
        "pipeline.findings",
        "pipeline.radiograph",
        "pipeline.greyscale",
        "pipeline.geometry",
        "pipeline.activation_map",
    ),
    "dicom_node/receiving/": (
        "dicom_node.receiving",
        "dicom_node.records",
        "dicom_node.errors",
        "dicom_node.identifiers",
        "dicom_node.settings",
        "dicom_node.dimse_status",
        "dicom_node.durable_file",
        "dicom_node.storage_commitment",
    ),
    "dicom_node/delivering/": (
        "dicom_node.delivering",
        "dicom_node.records",
        "dicom_node.errors",
        "dicom_node.identifiers",
        "dicom_node.settings",
        "dicom_node.dimse_status",
        "dicom_node.durable_file",
        "dicom_node.storage_commitment",
    ),
    "pipeline/": ("pipeline",),
    "pipeline/networks/": ("pipeline.networks",),
}
# Training runs on a bare machine: torch, torchvision, numpy, opencv and the standard library.
BARE = ("pipeline/training/", "pipeline/networks/", "pipeline/model_input.py", "pipeline/geometry.py")
BARE_LIBRARIES = {"torch", "torchvision", "numpy", "cv2", "pipeline"} | set(sys.stdlib_module_names)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room_of(path: Path) -> str:
    """The path as the tables above write it."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=room_of)
def test_every_import_points_down(path: Path) -> None:
    """No file imports a foreign library outside its room, or a room that it may not see."""
    room = room_of(path)
    for module in imported(path):
        library = module.partition(".")[0]
        if library in ROOMS:
            assert room.startswith(ROOMS[library]), f"{room} imports {module}"
        for fence, seen in MAY_SEE.items():
            if room.startswith(fence) and library in ("dicom_node", "pipeline"):
                inside = any(module == name or module.startswith(name + ".") for name in seen)
                assert inside, f"{room} imports {module}"
        if room.startswith(BARE):
            assert library in BARE_LIBRARIES, (
                f"{room} imports {module}: training must run on a bare machine"
            )


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("dicom_node.receiving.storage_scp", "torch"),
        ("dicom_node.work.intake", "torch"),
        ("dicom_node.work.delivery_worker", "torch"),
        ("dicom_node.work.report_worker", "torch"),
        ("dicom_node.web.server", "torch"),
        ("dicom_node.cli", "torch"),
    ],
)
def test_all_processes_but_the_analysis_hold_no_torch(module: str, forbidden: str) -> None:
    """Importing what those processes run, in a fresh interpreter, leaves torch out."""
    code = f"import sys, {module}; sys.exit({forbidden!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_modules_and_functions_stay_small() -> None:
    """No module over 400 lines, no function over 60."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, room_of(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{room_of(path)}: {node.name} has {length} lines"
