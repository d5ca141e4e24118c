"""A settings file is used whole or refused with file, key, value and remedy."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from dicom_node.command_line.config import schema_text
from dicom_node.errors import SettingsError
from dicom_node.records import Priority
from dicom_node.settings import (
    DicomDestination,
    DicomwebDestination,
    FolderDestination,
    Settings,
    read_settings,
)
from dicom_node.shipped import shipped_config

ARCHIVE = '[[destinations]]\nname = "archive"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = 11113\n'
SECOND = (
    '[[destinations]]\nname = "research"\nae_title = "RESEARCH"\nhost = "127.0.0.1"\nport = 11114\n'
)
FOLDER = '[[destinations]]\nname = "research"\nkind = "folder"\npath = "results"\n'
SERVER = (
    '[[destinations]]\nname = "cloud"\nkind = "dicomweb"\nurl = "https://archive.example/dicom-web/"\n'
)
PEER = '[[peers]]\nae_title = "PACS"\nhosts = ["127.0.0.1"]\n'


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return read_settings(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ARCHIVE + "[node]\nprt = 11112\n", ["node.prt = 11112", "no such key", "config schema"]),
        (ARCHIVE + "[node]\nport = 99999\n", ["node.port = 99999", "65535"]),
        (
            ARCHIVE + '[node]\nae_titles = ["A TITLE OF MORE THAN SIXTEEN"]\n',
            ["node.ae_titles[1]", "16"],
        ),
        (
            ARCHIVE + "[study]\nquiet_seconds = 400\n",
            ["study", "longest_wait_seconds must not be below"],
        ),
        (
            ARCHIVE + '[[peers]]\nae_title = "PACS"\nhosts = ["10.0.0.0/99"]\n',
            ["peers[1]", "10.0.0.0/99"],
        ),
        (ARCHIVE.replace("port", "prot"), ["destinations[1].port", "missing"]),
        (ARCHIVE + PEER + PEER, ["peers: ae_title = 'PACS'", "twice"]),
        (ARCHIVE + SECOND + PEER, ["no route from 'PACS'", '[[routes]] with from = ["PACS"]']),
        (
            ARCHIVE + '[[routes]]\nfrom = ["*"]\nto = ["nowhere"]\n',
            ["'nowhere' names no destination", "archive"],
        ),
        (
            ARCHIVE + PEER + '[[routes]]\nfrom = ["OTHER"]\nto = ["archive"]\n',
            ["'OTHER' names no peer", "PACS"],
        ),
        (ARCHIVE + "[node\n", ["not valid TOML", "line 6"]),
        ("", ["destinations", "missing"]),
        ("destinations = []\n", ["destinations = []", "at least 1"]),
        (
            ARCHIVE + 'kind = "ftp"\n',
            ['destinations[1].kind = \'ftp\': give "dicom", "dicomweb" or "folder"'],
        ),
        (FOLDER + "port = 104\n", ["destinations[1].port = 104", "no such key", "of kind 'folder'"]),
        (FOLDER.replace("path", "pth"), ["destinations[1].path: missing"]),
        (SERVER.replace("https", "gopher"), ["destinations[1].url = 'gopher:", "'http' or 'https'"]),
        (SERVER + 'username = "me"\n', ["destinations[1]: username and password_file go together"]),
        (
            SERVER + 'username = "me"\ntoken_file = "t"\npassword_file = "p"\n',
            ["token_file and username", "give one"],
        ),
        (
            ARCHIVE + "[destinations.series.sc]\nnumber = 0\n",
            ["destinations[1].series.sc.number = 0", "greater than"],
        ),
        (
            ARCHIVE + "[destinations.series.ct]\nnumber = 1\n",
            ["destinations[1].series.ct = 'ct'", "'gradcam'"],
        ),
        (ARCHIVE.replace('"archive"', '"../archive"'), ["destinations[1].name = '../archive'"]),
    ],
)
def test_an_error_names_file_key_value_and_remedy(tmp_path: Path, text: str, words: list[str]) -> None:
    """Whatever is wrong, the message says where, what and how to mend it."""
    with pytest.raises(SettingsError) as refused:
        settings_of(tmp_path, text)
    assert str(tmp_path / "node.toml") in str(refused.value)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("text", ['kind = "ftp"\n', "port = 0\n", 'colour = "red"\n'])
def test_what_is_wrong_with_a_destination_is_said_once(tmp_path: Path, text: str) -> None:
    """One line for one mistake, in the words of the file."""
    with pytest.raises(SettingsError) as refused:
        settings_of(
            tmp_path, ARCHIVE.replace("port = 11113\n", text if "port" in text else f"port = 1\n{text}")
        )
    assert len(str(refused.value).splitlines()) == 1
    assert "dicom." not in str(refused.value).removeprefix(str(tmp_path))


def test_a_secret_in_the_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    """It would stand in every log line that names the server."""
    with pytest.raises(SettingsError, match="give username and password_file") as refused:
        settings_of(tmp_path, SERVER.replace("archive.example", "me:hunter2@archive.example"))
    assert "hunter2" not in str(refused.value)


def test_each_kind_of_destination_has_its_own_keys(tmp_path: Path) -> None:
    """Which kind it is decides what it is made of; paths start at the file."""
    text = ARCHIVE + SERVER + 'token_file = "token.txt"\n' + FOLDER
    text += "[destinations.series.sc]\nnumber = 950\n"
    archive, server, folder = settings_of(
        tmp_path, text + '[[routes]]\nfrom = ["*"]\nto = ["archive"]\n'
    ).destinations
    assert isinstance(archive, DicomDestination)
    assert isinstance(server, DicomwebDestination)
    assert isinstance(folder, FolderDestination)
    assert server.token_file == tmp_path / "token.txt"
    assert folder.path == tmp_path / "results"
    assert folder.series["sc"].number == 950
    assert [place.where for place in (archive, server, folder)] == [
        "ARCHIVE@127.0.0.1:11113",
        "https://archive.example/dicom-web",
        str(tmp_path / "results"),
    ]


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """No file: the remedy is `config init`."""
    with pytest.raises(SettingsError, match="dicom-node config init"):
        read_settings(tmp_path / "none.toml")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """`data` and `model.path` do not depend on where the command is run."""
    settings = settings_of(tmp_path, ARCHIVE + '[node]\ndata = "store"\n[model]\npath = "m"\n')
    assert settings.node.data == tmp_path / "store"
    assert settings.model.path == tmp_path / "m"


def test_one_peer_and_one_destination_need_no_route(tmp_path: Path) -> None:
    """The route is implied."""
    settings = settings_of(tmp_path, ARCHIVE + PEER)
    assert [place.name for place in settings.destinations_for("PACS")] == ["archive"]


def test_routes_choose_destinations_and_priority(tmp_path: Path) -> None:
    """From the peer, else the route, else the called AE title; else it is left to DIMSE."""
    text = ARCHIVE + SECOND
    text += '[node]\nae_titles = ["FRACTURE", { title = "ER", priority = "emergency" }]\n'
    text += PEER + 'priority = "urgent"\n' + PEER.replace("PACS", "CT1") + PEER.replace("PACS", "DR1")
    text += '[[routes]]\nfrom = ["PACS", "DR1"]\nto = ["archive"]\n'
    text += '[[routes]]\nfrom = ["CT1"]\nto = ["archive", "research"]\npriority = "routine"\n'
    settings = settings_of(tmp_path, text)
    assert [place.name for place in settings.destinations_for("CT1")] == ["archive", "research"]
    assert settings.configured_priority("PACS", "ER") is Priority.URGENT
    assert settings.configured_priority("CT1", "ER") is Priority.ROUTINE
    assert settings.configured_priority("DR1", "ER") is Priority.EMERGENCY
    assert settings.configured_priority("DR1", "FRACTURE") is None


@pytest.mark.parametrize("name", ["example.toml", "minimal.toml"])
def test_the_shipped_settings_are_good(name: str) -> None:
    """What `config init` writes can be used as it is."""
    assert read_settings(shipped_config(name)).destinations[0].name == "archive"


def test_the_example_names_every_key() -> None:
    """A key that the example does not show would never be found."""
    text = shipped_config("example.toml").read_text()
    schema = Settings.model_json_schema()
    for table in [schema, *schema["$defs"].values()]:
        for key in table.get("properties", {}):
            assert key in text, key


def test_the_example_shows_the_defaults() -> None:
    """A value in the example that is not the default would mislead."""
    shown = tomllib.loads(shipped_config("example.toml").read_text())
    default = Settings.model_validate({"destinations": shown["destinations"]})
    assert Settings.model_validate({**shown, "peers": [], "routes": []}) == default


def test_the_committed_schema_is_fresh() -> None:
    """`config/settings.schema.json` is what `config schema` prints."""
    committed = shipped_config("settings.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == json.loads(schema_text()), (
        "dicom-node config schema > config/settings.schema.json"
    )
