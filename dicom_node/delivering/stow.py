"""STOW-RS (PS3.18 10.5): one object a request, its result read from the answer.

The bytes go as they lie in the outbox. dicomweb-client would encode the data set anew, read no answer that
comes with a 409, and try again by itself; so this is httpx and one part of a multipart body.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from dicom_node.delivering.dicom_file import read_dicom_file
from dicom_node.delivering.stow_answer import MOST_BYTES, StoreAnswer, read_store_answer
from dicom_node.dimse_status import Judgement, StoreStatus, judge
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.settings import DicomwebDestination

# Some servers fail what they hold already, with this reason in place of the standard's success.
ALREADY_STORED: Final = 45070
# XML is read too where it comes; asking for both makes Orthanc log an error for each object.
_WANTED: Final = "application/dicom+json"
_OF_THE_OBJECT = (400, 406, 409, 413, 415, 422)
_REMEDIES = {
    401: "it does not know who we are; look at token_file, or username and password_file",
    403: "it does not let us store; ask for the right to, or look at token_file or username",
    404: "there is no STOW-RS service; look at url",
    405: "there is no STOW-RS service; look at url",
    429: "it is asked too often",
}
log = logging.getLogger("dicom_node.delivering.stow")


class StowSender:
    """A connection to a DICOMweb server for the time of a `with`. Secrets are read anew at each opening."""

    def __init__(self, destination: DicomwebDestination) -> None:
        self._destination = destination
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        self._client = open_client(self._destination)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def accepted(self) -> None:
        """A DICOMweb server does not say beforehand what it takes."""
        return

    def send(self, source: Path) -> int:
        """Stores one DICOM file: Success, a warning (Bxxx), or a failure that may pass (A7xx, 0110).

        Raises:
            ObjectRefusedError: the server failed this object; `status` is its Failure Reason.
            DestinationDownError: no connection, no answer in time, or an answer that is not about the object.
            OSError: `source` cannot be read.
        """
        if self._client is None:
            raise DestinationDownError(f"{self._destination.where}: the connection has ended")
        data = read_dicom_file(source).data
        url = f"{self._destination.where}/studies"
        # It cannot stand in the object: it would hold its own digest.
        boundary = hashlib.sha256(data).hexdigest()
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        try:
            with self._client.stream(
                "POST",
                url,
                content=head + data + f"\r\n--{boundary}--\r\n".encode(),
                headers={"Content-Type": kind, "Accept": _WANTED},
            ) as response:
                return _status(url, response, read_store_answer(_body(response)))
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise _no_answer(url, error) from error


def open_client(destination: DicomwebDestination) -> httpx.Client:
    """An HTTP client as the settings have it; it goes where they say, whatever the environment names as proxy.

    Raises:
        DestinationDownError: a file of secrets or authorities cannot be used.
    """
    # Their debugging lines hold headers.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    headers, auth = {}, None
    if destination.token_file is not None:
        headers["Authorization"] = f"Bearer {_secret(destination.token_file, 'token_file')}"
    if destination.username is not None and destination.password_file is not None:
        auth = httpx.BasicAuth(
            destination.username, _secret(destination.password_file, "password_file")
        )
    return httpx.Client(
        verify=_trust(destination.certificate_authority),
        timeout=destination.timeout_seconds,
        headers=headers,
        auth=auth,
        trust_env=False,
    )


def reach(destination: DicomwebDestination) -> float:
    """Milliseconds of a question (QIDO-RS) for a study that no archive has; it names no patient.

    Raises:
        DestinationDownError: nobody answers, or not as a DICOMweb server that lets us in.
    """
    url = f"{destination.where}/studies"
    # PS3.5 B.2: a root that is nobody's.
    question = {"StudyInstanceUID": "2.25.0", "limit": "1"}
    began = time.perf_counter()
    try:
        # The body is nobody's concern here: it is not read.
        with (
            open_client(destination) as client,
            client.stream("GET", url, params=question, headers={"Accept": _WANTED}) as response,
        ):
            pass
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise _no_answer(url, error) from error
    code = response.status_code
    # A server that only stores may not know the question.
    if not response.is_success and code not in (400, 405, 406, 501):
        raise DestinationDownError(_not_about_the_object(url, response))
    return 1000 * (time.perf_counter() - began)


def _secret(path: Path, key: str) -> str:
    """The text of a file, in one line. The message names the file, never what it holds."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise DestinationDownError(f"{key} = {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DestinationDownError(f"{key} = {str(path)!r}: not plain text") from error
    if not text.isprintable() or not text:
        raise DestinationDownError(f"{key} = {str(path)!r}: not one line of text")
    return text


def _trust(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        words = error.strerror or str(error)
        raise DestinationDownError(f"certificate_authority = {str(authority)!r}: {words}") from error


def _body(response: httpx.Response) -> bytes:
    """The answer's body; nothing of one that is longer than any answer."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            log.warning("%s: an answer of more than %d bytes is not read", response.url, MOST_BYTES)
            return b""
    return bytes(body)


def _status(url: str, response: httpx.Response, answer: StoreAnswer) -> int:
    """What became of the one object (PS3.18 table 10.5.3-1 and annex I.2)."""
    if answer.is_failed and (response.is_success or response.status_code in _OF_THE_OBJECT):
        return _failure(url, answer.failure_reason)
    if response.is_success:
        # 202: not everything was stored as sent. Without a word about the object, it may be lost.
        if response.status_code == 202 and not answer.is_stored:
            raise ObjectRefusedError(f"{url} answered 202 and does not say what became of it", None)
        reason = answer.warning_reason
        return int(StoreStatus.SUCCESS) if reason is None else 0xB000 | (reason & 0x0FFF)
    if response.status_code in _OF_THE_OBJECT:
        raise ObjectRefusedError(
            f"{url} answered {response.status_code} {response.reason_phrase}", None
        )
    raise DestinationDownError(_not_about_the_object(url, response))


def _failure(url: str, reason: int | None) -> int:
    if reason == ALREADY_STORED or (reason is not None and judge(reason) is Judgement.RETRY):
        return reason
    shown = "without a reason" if reason is None else f"failure reason 0x{reason:04X}"
    raise ObjectRefusedError(f"{url} did not store it, {shown}", reason)


def _not_about_the_object(url: str, response: httpx.Response) -> str:
    code = response.status_code
    where = " elsewhere; give that url" if response.is_redirect else ""
    remedy = _REMEDIES.get(code, "the server's own log says why" if code >= 500 else "")
    return f"{url} answered {code} {response.reason_phrase}{where}{': ' + remedy if remedy else ''}"


def _no_answer(url: str, error: Exception) -> DestinationDownError:
    if isinstance(error, httpx.TimeoutException):
        kind = "connection" if isinstance(error, httpx.ConnectTimeout) else "answer"
        return DestinationDownError(f"{url}: no {kind} in time", "look at url, and at firewalls")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted: {cause.verify_message}"
            return DestinationDownError(f"{url}: {said}; look at certificate_authority")
        if isinstance(cause, ConnectionRefusedError):
            return DestinationDownError(f"{url}: connection refused", "does it run? look at url")
        cause = cause.__cause__ or cause.__context__
    return DestinationDownError(f"{url}: {str(error) or type(error).__name__}", "look at url")
