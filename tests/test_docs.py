"""What README and docs say is so: commands, options, keys, links, tables and pictures."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pydicom
import pytest
import typer.main
from PIL import Image

from dicom_node import supervisor
from dicom_node.cli import app
from dicom_node.dimse_status import Rejection, StoreStatus
from dicom_node.operating.settings_reference import settings_reference
from dicom_node.receiving.admission import RADIOGRAPHS
from dicom_node.receiving.transfer_syntaxes import ACCEPTED
from dicom_node.records import DeliveryState
from dicom_node.results.coded_concepts import COARSE_PARTS, attempt_code
from dicom_node.settings import Settings
from dicom_node.shipped import shipped_config
from pipeline.findings import RESEARCH_NOTICE, NotProcessed
from tests.real_parts import program

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SERVICE = DOCS / "fracture-node.service"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Nobody's own machine, nobody's registry, nobody's tracker: these age, or mean nothing to a stranger.
FORBIDDEN = re.compile(
    r"(?<![\w.])/(?:work|root|home|tmp|Users)/|pypi\.org|pythonhosted|download\.pytorch\.org|npmjs|anaconda\.org"
    r"|docker\.io|\b(?:issue|pull request|PR)s? #?\d+|(?<![\w&])#\d{2,}\b",
    re.IGNORECASE,
)


def name_of(path: Path) -> str:
    """The page as people name it."""
    return path.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    """A page of `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [found[2] for found in FENCE.finditer(text) if found[1] in languages]


def command_lines(text: str) -> Iterator[list[str]]:
    """What follows `dicom-node` wherever a page tells people to run it."""
    shown = [line for block in blocks(text, "sh", "bash") for line in block.splitlines()]
    shown += [
        line for block in blocks(text, "", "text") for line in block.splitlines() if line[:2] == "$ "
    ]
    prose = FENCE.sub("", text)
    shown += [" ".join(code.split()) for code in re.findall(r"`([^`]*)`", prose)]
    for line in shown:
        found = re.search(r"(?:^|[\s/])dicom-node(?=\s|$)(.*)", line)
        if found:
            yield shlex.split(re.split(r"\s(?:[|>#]|&&)", found[1])[0].rstrip(" …"))


def refuse_unknown(words: list[str]) -> None:
    """Walks the command line's own tree; fails at a word that it does not know."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        options = {
            name: option for option in command.params for name in (*option.opts, *option.secondary_opts)
        }
        if word.startswith("-") and word != "--help":
            assert word in options, f"dicom-node {' '.join(words)}: no option {word}"
            if not options[word].is_flag and rest:
                rest.pop(0)
        elif hasattr(command, "commands") and not word.startswith("-"):
            assert word in command.commands, f"dicom-node {' '.join(words)}: no command {word}"
            command = command.commands[word]


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that does something, as people type it."""
    if not hasattr(command, "commands"):
        yield " ".join(words)
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*words, name))


@pytest.fixture(scope="module")
def examples() -> ModuleType:
    """`docs/make_examples.py`."""
    spec = importlib.util.spec_from_file_location("make_examples", DOCS / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [*PAGES, SERVICE], ids=name_of)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    """No page names a command or an option that is not there."""
    text = page.read_text(encoding="utf-8")
    if page == SERVICE:
        refuse_unknown(shlex.split(service()["execstart"])[1:])
        return
    for words in command_lines(text):
        refuse_unknown(words)


@pytest.mark.parametrize(
    "wrong", [["jobs", "forget"], ["serve", "--port", "104"], ["pull"], ["--prot"]]
)
def test_a_command_that_does_not_exist_is_noticed(wrong: list[str]) -> None:
    """The test above can fail."""
    with pytest.raises(AssertionError, match=r"no (command|option)"):
        refuse_unknown(wrong)


def test_every_command_is_documented() -> None:
    """A command that no page shows would never be found."""
    shown = {
        " ".join(words) for page in PAGES for words in command_lines(page.read_text(encoding="utf-8"))
    }
    for command in leaves(typer.main.get_command(app)):
        assert any(line == command or line.startswith(command + " ") for line in shown), command


def test_the_reference_of_settings_is_fresh() -> None:
    """`docs/settings.md` is what `config reference` prints."""
    assert read("settings.md") == settings_reference(), "dicom-node config reference > docs/settings.md"


def test_every_key_is_explained() -> None:
    """Each key of each table has its words and its line, and so has each key that the shipped files show."""
    page = read("settings.md")
    schema = Settings.model_json_schema()
    for name, table in schema["$defs"].items():
        for key, field in table["properties"].items():
            assert field.get("description"), f"{name}.{key} has no description"
    for shipped in ("example.toml", "minimal.toml"):
        for heading, table in tomllib.loads(
            shipped_config(shipped).read_text(encoding="utf-8")
        ).items():
            assert f"[{heading}]" in page
            for key in table[0] if isinstance(table, list) else table:
                assert f"| `{key}` |" in page, key


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links name files that are there, and headings that are in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(path), f"{target}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_settings_example_is_good(page: Path) -> None:
    """TOML blocks parse; those that are whole files can be used, and parts hold known keys only."""
    for block in blocks(page.read_text(encoding="utf-8"), "toml"):
        given = tomllib.loads(block)
        if "destinations" not in given:
            archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 11113}
            given["destinations"] = [archive]
        Settings.model_validate(given)
    for block in blocks(page.read_text(encoding="utf-8"), "json"):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_says_what_this_is_not(page: Path) -> None:
    """The notice is on every page, word for word."""
    assert RESEARCH_NOTICE in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, SERVICE], ids=name_of)
def test_no_page_names_a_machine_a_registry_or_a_ticket(page: Path) -> None:
    """What a page says holds for a stranger."""
    found = FORBIDDEN.search(page.read_text(encoding="utf-8"))
    assert found is None, found


def test_the_page_for_the_pacs_lists_what_is_accepted() -> None:
    """Transfer syntaxes in the order of preference, the SOP classes, and every status and rejection."""
    page = read("connect-a-pacs.md")
    rows = re.findall(r"^\| \d+ \| [^|]+ \| ([\d.]+) \|$", page, re.MULTILINE)
    assert tuple(rows) == ACCEPTED
    classes = re.findall(r"^\| [^|]+ \| (1\.2\.840\.10008\.5[\d.]+) \|", page, re.MULTILINE)
    assert tuple(classes) == RADIOGRAPHS
    answered = set(StoreStatus) - {StoreStatus.COERCED_ELEMENTS}
    assert set(re.findall(r"^\| ([0-9A-F]{4}) \|", page, re.MULTILINE)) == {
        f"{code:04X}" for code in answered
    }
    for rejection in Rejection:
        assert "| {} / {} / {} |".format(*rejection.value) in page


def test_the_page_of_results_lists_every_reason_and_body_part() -> None:
    """Codes, meanings and attempts are the product's own."""
    page = read("results.md")
    rows = re.findall(r"^\| (FN-\d+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    told = [(attempt_code(reason).value, attempt_code(reason).meaning) for reason in NotProcessed]
    assert rows == [
        (reason.value, reason.meaning, " ".join(code))
        for reason, code in zip(NotProcessed, told, strict=True)
    ]
    for name, part in COARSE_PARTS.items():
        code = part.code
        row = f"| {name} | {code.value} {code.scheme_designator} {code.meaning} | {part.words} |"
        assert row in page


def test_the_page_of_operating_explains_every_state() -> None:
    """A state of a delivery that people see has its line."""
    for state in DeliveryState:
        assert re.search(rf"^\|[^|]*\| {state} \|", read("operating.md"), re.MULTILINE), state


@pytest.mark.real_part
@pytest.mark.parametrize(
    ("name", "root", "series"), [("report", "126000", 9001), ("key-images", "113000", 9005)]
)
def test_the_trees_on_the_page_are_what_is_composed(
    examples: ModuleType, tmp_path: Path, name: str, root: str, series: int
) -> None:
    """DCMTK's dsrdump prints the lines of `docs/results.md`, in their order."""
    path = tmp_path / f"{name}.dcm"
    path.write_bytes(examples.OBJECTS[name]())
    dumped = subprocess.run(
        [program("dsrdump"), "-Ph", "+Pc", "+Pl", path], capture_output=True, text=True, check=True
    )
    printed = iter(dumped.stdout.splitlines())
    tree = next(
        block
        for block in blocks(read("results.md"), "text")
        if block.startswith(f"<CONTAINER:({root},")
    )
    for line in tree.splitlines():
        assert line.strip() == "..." or line in printed, line
    assert pydicom.dcmread(path).SeriesNumber == series


def test_the_pictures_are_what_is_drawn(examples: ModuleType) -> None:
    """`python docs/make_examples.py` draws them; together they stay small, and the page shows each."""
    page = read("results.md")
    committed = sorted((DOCS / "images").glob("*.png"))
    assert {path.stem for path in committed} == set(examples.PICTURES)
    assert sum(path.stat().st_size for path in committed) < 600_000
    for path in committed:
        assert f"images/{path.name}" in page
        shown = np.asarray(Image.open(path).convert("RGB")).astype(int)
        drawn = np.asarray(examples.picture(path.stem).convert("RGB")).astype(int)
        assert shown.shape == drawn.shape, "python docs/make_examples.py"
        assert np.abs(shown - drawn).mean() < 2, f"{path.name}: python docs/make_examples.py"


@pytest.mark.parametrize("module", ["pipeline.training", "pipeline.packaging"])
def test_the_page_of_the_model_shows_options_that_exist(module: str) -> None:
    """Training and packaging know every option that the page gives them."""
    helped = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for block in blocks(read("model.md"), "sh") for line in block.splitlines()]
    shown = {
        word for line in lines if f"-m {module} " in line for word in line.split() if word[:2] == "--"
    }
    assert shown
    for option in shown:
        assert re.search(rf"{option}\b", helped.stdout), option


def service() -> dict[str, str]:
    """The service's section of the unit; keys in small letters."""
    unit = RawConfigParser(strict=False, comment_prefixes=("#",), allow_no_value=True)
    unit.read(SERVICE, encoding="utf-8")
    return dict(unit["Service"])


def test_the_service_fits_the_page_and_the_supervisor() -> None:
    """It waits longer than the node drains, writes where the page says, and starts what the page installs."""
    unit, page = service(), read("install.md")
    assert float(unit["timeoutstopsec"]) > supervisor._DRAIN_SECONDS
    assert unit["killsignal"] == "SIGTERM"
    for key in ("execstart", "readwritepaths"):
        for path in re.findall(r"/\S+", unit[key]):
            assert path in page, path
    written = [tomllib.loads(block) for block in blocks(page, "toml")]
    assert [one["node"]["data"] for one in written] == [unit["readwritepaths"]]
    assert "memorydenywriteexecute" not in unit, "torch makes machine code while it runs"
