"""`check` on the page: who could read it, and whether it is there."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import trustme

from dicom_node.operating.examined import Verdict
from dicom_node.operating.page_check import examine_page
from dicom_node.register.accounts import Accounts
from dicom_node.register.register import Register
from dicom_node.settings import Settings, read_settings
from tests.node.running_node import destination, settings_text
from tests.receiving.running_scp import free_port
from tests.web.conftest import PASSWORD, make_site
from tests.web.live_site import live_site


def settings_of(folder: Path, **web: Any) -> Settings:
    """Settings with this [web]."""
    path = folder / "node.toml"
    given = {"enabled": True, "port": free_port(), **web}
    path.write_text(settings_text([destination("archive", 11113)], web=given))
    return read_settings(path)


def said(settings: Settings) -> dict[str, tuple[Verdict, str]]:
    """What is said of each thing."""
    return {one.what: (one.verdict, one.said) for one in examine_page(settings)}


def test_a_page_that_is_off_or_not_served_fails_nothing(tmp_path: Path) -> None:
    """It is told."""
    assert said(settings_of(tmp_path, enabled=False))["page"][0] is Verdict.NOTE
    lines = said(settings_of(tmp_path))
    assert lines["page"] == (Verdict.NOTE, lines["page"][1])
    assert "not served" in lines["page"][1]
    assert "open to this machine only" in lines["users"][1]


def test_an_address_for_others_without_users_fails_with_the_remedy(tmp_path: Path) -> None:
    """As the page itself would refuse to start; with a user, the missing TLS is told."""
    settings = settings_of(tmp_path, address="0.0.0.0")  # noqa: S104 - the very case
    verdict, words = said(settings)["page"]
    assert verdict is Verdict.FAILED
    assert "dicom-node users add NAME --role administrator" in words
    settings.node.data.mkdir()
    register = Register.open(settings.node.data)
    Accounts(register).add("chief", "administrator", PASSWORD, datetime.now(UTC))
    register.close()
    lines = said(settings)
    assert lines["users"] == (Verdict.GOOD, "1 can log in")
    assert "unencrypted" in lines["TLS"][1]


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Missing, or not the key's."""
    one, other = trustme.CA().issue_cert("localhost"), trustme.CA().issue_cert("localhost")
    one.cert_chain_pems[0].write_to_path(tmp_path / "web.pem")
    other.private_key_pem.write_to_path(tmp_path / "web.key")
    verdict, words = said(settings_of(tmp_path, certificate="web.pem", private_key="no.key"))["page"]
    assert (verdict, "no.key: no such file" in words) == (Verdict.FAILED, True)
    verdict, words = said(settings_of(tmp_path, certificate="web.pem", private_key="web.key"))["page"]
    assert (verdict, "cannot be used" in words) == (Verdict.FAILED, True)


def test_a_page_that_answers_is_good_and_another_program_is_not(tmp_path: Path) -> None:
    """Told apart by what it answers."""
    for site in make_site(tmp_path, web={"enabled": True}):
        with live_site(site.context) as served:
            assert said(served.context.settings)["page"][0] is Verdict.GOOD
    server = HTTPServer(("127.0.0.1", 0), _Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path / "other"
    folder.mkdir()
    verdict, words = said(settings_of(folder, port=server.server_port))["page"]
    server.shutdown()
    assert (verdict, "something else answers" in words) == (Verdict.FAILED, True)


class _Other(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Nothing here."""
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""
