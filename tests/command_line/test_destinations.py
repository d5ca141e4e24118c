"""What the commands say of destinations of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from tests.delivering.dicomweb_server import Server, dicomweb_server


def run(*arguments: object) -> Result:
    """A command in this process, its table as wide as it likes."""
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "300"})


def settings(folder: Path, server: Server) -> Path:
    """A file with a server and a folder."""
    path = folder / "node.toml"
    path.write_text(
        f'[[destinations]]\nname = "cloud"\nkind = "dicomweb"\nurl = "{server.url}"\n'
        '[[destinations]]\nname = "research"\nkind = "folder"\npath = "results"\n'
        '[[routes]]\nfrom = ["*"]\nto = ["cloud", "research"]\n'
    )
    return path


def test_echo_asks_a_server_and_looks_at_a_folder(tmp_path: Path) -> None:
    """Status 0 where it is there, 1 with the reason where it is not."""
    with dicomweb_server() as server:
        path = settings(tmp_path, server)
        done = run("echo", "cloud", "--config", path)
        assert (done.exit_code, f"{server.url} answers in" in done.stdout) == (0, True)
        server.status = 401
        done = run("echo", "cloud", "--config", path)
        assert done.exit_code == 1
        assert "answered 401" in done.stderr
    done = run("echo", "research", "--config", path)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'results'} can be written to\n")
    (tmp_path / "results").write_text("a file")
    done = run("echo", "research", "--config", path)
    assert done.exit_code == 1
    assert "is no folder" in done.stderr


def test_config_check_names_each_destination_as_it_is_reached(tmp_path: Path) -> None:
    """URL and folder, where others have an AE title."""
    server = Server(port=1)
    done = run("config", "check", settings(tmp_path, server))
    assert done.exit_code == 0
    assert f"cloud ({server.url})" in done.stdout
    assert f"research ({tmp_path / 'results'})" in done.stdout


@pytest.mark.parametrize(("name", "kind"), [("cloud", "dicomweb"), ("research", "folder")])
def test_send_goes_by_c_store_only(tmp_path: Path, name: str, kind: str) -> None:
    """And says so of a destination that has none."""
    path = settings(tmp_path, Server(port=1))
    done = run("send", name, path, "--config", path)
    assert done.exit_code == 2
    assert f"{name} is of kind '{kind}': send goes by C-STORE" in done.stderr
