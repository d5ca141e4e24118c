"""The built wheel is the product: weights and settings travel in it, and it runs outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # A plain path: the editable install's own .pth in there is not followed.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "env" / "bin"


def run(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A `dicom-node` command of the wheel, away from the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(installed / "dicom-node"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=150
    )


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Outside the checkout, each image ends in exactly one outcome, with SR, SC and a picture left behind."""
    done = run(installed, "demo", "--out", "results", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "synthetic" in done.stdout
    results = tmp_path / "results"
    assert len(list(results.glob("*_sr.dcm"))) == 2
    assert len(list(results.glob("*_sc.dcm"))) == 5
    assert len(list(results.glob("*_sc.png"))) == 5


def test_the_wheel_holds_model_and_settings(installed: Path, tmp_path: Path) -> None:
    """`model verify` replays the shipped golden input, `config init` finds the shipped settings."""
    verified = run(installed, "model", "verify", cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    assert run(installed, "config", "init", "node.toml", cwd=tmp_path).returncode == 0
    assert run(installed, "config", "check", "node.toml", cwd=tmp_path).returncode == 0
    listed = run(installed, "model", "list", cwd=tmp_path)
    assert "*" in listed.stdout


def test_the_languages_travel_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Outside the checkout, every shipped catalogue is there and whole."""
    places = "".join(
        f'[[destinations]]\nname = "{language}"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'
        f'language = "{language}"\n'
        for language in ("de", "fr", "es", "it")
    )
    route = '[[routes]]\nfrom = ["*"]\nto = ["de", "fr", "es", "it"]\n'
    (tmp_path / "node.toml").write_text(
        f'[node]\ndata = "{tmp_path}/data"\n{places}{route}', encoding="utf-8"
    )
    done = run(installed, "config", "check", "node.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
