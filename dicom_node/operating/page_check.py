"""Is the page where it should be, and only for those it should be for?"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

from dicom_node.errors import LedgerError
from dicom_node.operating.examined import Examined, Verdict
from dicom_node.register.accounts import Accounts
from dicom_node.register.register import REGISTER_NAME, Register
from dicom_node.settings import Settings
from dicom_node.settings.web import Web

_SECONDS = 5.0


def examine_page(settings: Settings) -> Iterator[Examined]:
    """Users, certificate, and whether it answers."""
    web = settings.web
    if not web.enabled:
        yield Examined("page", Verdict.NOTE, "off: [web] enabled = false")
        return
    complaint = unusable_certificate(web)
    if complaint:
        yield Examined("page", Verdict.FAILED, complaint)
        return
    registered = _registered(settings)
    complaint = open_door(web, anybody=registered > 0)
    if complaint:
        yield Examined("page", Verdict.FAILED, complaint)
        return
    yield _answer(web)
    if not registered:
        yield Examined(
            "users", Verdict.NOTE, "nobody is registered: the page is open to this machine only"
        )
    else:
        yield Examined("users", Verdict.GOOD, f"{registered} can log in")
    if not web.is_loopback and web.certificate is None:
        yield Examined(
            "TLS",
            Verdict.NOTE,
            "none: passwords and names cross the network unencrypted; set [web] certificate and private_key",
        )


def open_door(web: Web, *, anybody: bool) -> str:
    """Why the page does not start: others could call, and nobody is registered; "" where it does."""
    if web.is_loopback or anybody:
        return ""
    return (
        f"web.address = {web.address!r}: nobody is registered, so everybody could read patients' names; "
        "add an administrator with `dicom-node users add NAME --role administrator`, or serve 127.0.0.1"
    )


def unusable_certificate(web: Web) -> str:
    """What is wrong with certificate or key, with the remedy; "" where all is well or none is set."""
    if web.certificate is None or web.private_key is None:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(web.certificate, web.private_key)
    except FileNotFoundError:
        missing = next((one for one in (web.certificate, web.private_key) if not one.exists()), "")
        return f"web.certificate, web.private_key: {missing}: no such file"
    except (OSError, ssl.SSLError) as error:
        return (
            f"web.certificate = {web.certificate}, web.private_key = {web.private_key}: cannot be used: {error}; "
            "give a certificate chain and its key as PEM, readable by the node"
        )
    return ""


def _registered(settings: Settings) -> int:
    if not (settings.node.data / REGISTER_NAME).is_file():
        return 0
    try:
        register = Register.open(settings.node.data)
    except LedgerError:
        return 0
    try:
        return sum(not one.disabled for one in Accounts(register).all())
    finally:
        register.close()


def _answer(web: Web) -> Examined:
    scheme = "http" if web.certificate is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.address, web.address)  # noqa: S104 - a comparison
    bracketed = f"[{host}]" if ":" in host else host
    where = f"{scheme}://{bracketed}:{web.port}"
    try:
        # Its name is not this address: what is asked is whether it is there, and nothing is told.
        said = httpx.get(f"{where}/health/live", timeout=_SECONDS, verify=False)  # noqa: S501
    except httpx.ConnectError:
        return Examined("page", Verdict.NOTE, f"{where} is not served: the node is not running")
    except httpx.HTTPError as error:
        return Examined("page", Verdict.FAILED, f"{where}: {error or type(error).__name__}")
    if said.status_code == 200 and "content-security-policy" in said.headers:
        return Examined("page", Verdict.GOOD, f"{where} answers")
    return Examined(
        "page", Verdict.FAILED,
        f"{where}: something else answers there ({said.status_code}); end it, or set another [web] port",
    )  # fmt: skip
