"""Three processes under a supervisor: each comes back, none holds up another, none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.node.running_node import (
    DICOM_NODE,
    destination,
    kill,
    node_processes,
    running_node,
    settings_text,
)
from tests.receiving.running_scp import free_port


def settings_file(folder: Path, **tables: object) -> Path:
    """Settings whose archive is never there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    path.write_text(settings_text([destination("archive", free_port())], **tables))
    return path


def test_a_crash_of_one_process_never_stops_the_others(tmp_path: Path) -> None:
    """Each of the three in turn: the others keep their process ids, and the one that crashed comes back."""
    text = settings_text([destination("archive", free_port())])
    with running_node(tmp_path / "node", text) as node:
        for name in ("receiver", "analysis", "delivery"):
            before = {other: one.pid for other, one in node_processes(node.process.pid).items()}
            assert len(before) == 3
            kill(node, name)

            def came_back(name: str = name, old: int = before[name]) -> bool:
                now = node_processes(node.process.pid)
                return name in now and now[name].pid != old

            node.wait_for(came_back)
            after = {other: one.pid for other, one in node_processes(node.process.pid).items()}
            assert {other for other in after if after[other] == before[other]} == set(before) - {name}


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    """Its processes hear that it is gone and end, so that the next start finds port and locks free."""
    path = settings_file(tmp_path)
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen([DICOM_NODE, "serve", "--config", str(path)], stdout=log, stderr=log)
    until = time.monotonic() + 60
    while len(node_processes(process.pid)) < 3:
        assert time.monotonic() < until, (tmp_path / "log.txt").read_text()
        time.sleep(0.05)
    children = list(node_processes(process.pid).values())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    with running_node(tmp_path, path.read_text()) as node:
        assert len(node_processes(node.process.pid)) == 3


def test_a_second_node_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """It ends at once and names the lock; the first goes on."""
    text = settings_text([destination("archive", free_port())])
    with running_node(tmp_path / "node", text) as node:
        second = node.command("serve")
        assert second.returncode == 1
        assert "supervisor.lock: another process" in second.stderr
        assert len(node_processes(node.process.pid)) == 3


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"model": {"path": "nowhere"}}, "model.toml"),
        ({"node": {"address": "203.0.113.7"}}, "node.address"),
    ],
    ids=["model", "address"],
)
def test_a_process_that_cannot_run_says_why_in_a_line(
    tmp_path: Path, table: dict[str, object], words: str
) -> None:
    """No traceback: which setting, and what is wrong with it; the supervisor tries again."""
    path = settings_file(tmp_path, **table)
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen([DICOM_NODE, "serve", "--config", str(path)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while "started again in" not in (said := (tmp_path / "log.txt").read_text()):
            assert time.monotonic() < until, said
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert "cannot run" in said
    assert words in said
    assert "Traceback" not in said
