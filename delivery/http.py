"""HTTP to a destination: how a session is set up, and what each failure means, mapped in one place.

Every wait is bounded by `timeout_seconds` without progress: connecting, each stalled send, each piece of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util import Retry

from config.settings import Destination
from delivery.faults import AnswerLost, PeerBusy
from domain.errors import PeerRefused, PeerUnavailable

LONGEST_RETRY_AFTER_SECONDS = 3600.0
_MOST_BODY_LETTERS = 2000


def where(to: Destination) -> str:
    """The destination as sentences name it; its whole address may hold a password."""
    parts = urlsplit(to.url)
    return f"{to.name} at {parts.hostname}" + (f":{parts.port}" if parts.port else "")


def set_up(session: requests.Session, to: Destination) -> None:
    """Credentials, trust and time-outs of this destination.

    The environment has no say: a proxy or a .netrc of this machine must not decide where results go. Nothing is tried again
    here, since waiting belongs to the ledger: urllib3 would sleep for as long as Retry-After says.
    """
    session.trust_env = False
    session.verify = str(to.ca_file) if to.ca_file else True
    if to.username:
        session.auth = HTTPBasicAuth(to.username.encode(), to.password.encode())
    if to.token:
        session.headers["Authorization"] = f"Bearer {to.token}"
    adapter = _Patient(to.timeout_seconds)
    session.mount("http://", adapter)
    session.mount("https://", adapter)


class _Patient(HTTPAdapter):
    """A time-out for every request, and no retries."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(max_retries=Retry(0, read=False))
        self._timeout_seconds = timeout_seconds

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = (self._timeout_seconds, self._timeout_seconds)
        return super().send(request, *args, **kwargs)


def ask(
    session: requests.Session, to: Destination, method: str, path: str, *, missing: bool = False, **more: Any
) -> requests.Response:
    """One request; its answer unless the status speaks of the destination. `missing`: 404 is an answer."""
    try:
        answer = session.request(method, f"{to.url.rstrip('/')}/{path}", allow_redirects=False, **more)
    except OSError as error:  # a RequestException, or the system's own when `ca_file` cannot be read
        raise unreachable(to, error) from None
    fault = fault_of(to, answer.status_code, answer.headers)
    if fault is not None and not (missing and answer.status_code == 404):
        raise fault
    return answer


def unreachable(to: Destination, error: Exception) -> PeerUnavailable | PeerRefused:
    """Why there was no answer, in one sentence with what to do."""
    name, limit = where(to), to.timeout_seconds
    cause = _cause(error)
    if isinstance(error, requests.exceptions.SSLError):
        return PeerRefused(f"{name}: {_tls_fault(str(cause))}")
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return PeerUnavailable(f"{name} cannot be reached: the host name is not known; check url")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return PeerUnavailable(f"{name} did not take the connection within {limit:g} s; check url, firewall")
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return PeerUnavailable(f"{name} refused the connection or cannot be reached; check url, and that it is running")
    if isinstance(error, requests.exceptions.Timeout):
        return AnswerLost(f"{name} did not answer within {limit:g} s; whether it kept the object is not known")
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return AnswerLost(f"{name} broke the connection before it answered; whether it kept the object is not known")
    if isinstance(error, requests.exceptions.RequestException):
        return PeerRefused(f"{name} cannot be called ({type(error).__name__}); check url, username, password and token")
    return PeerRefused(f"{name}: ca_file cannot be read; it holds certificates in PEM")


def _cause(error: BaseException) -> BaseException:
    """What urllib3 met, without the requests that wrapped it."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _tls_fault(said: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return "no encrypted connection comes about; check that url says https only where the server does"
    if "Hostname mismatch" in said or "IP address mismatch" in said:
        return "its certificate is for another host name; write that name into url"
    if "expired" in said:
        return "its certificate has expired; have it renewed there"
    return "its certificate is not trusted; write the certificate of the authority that signed it into ca_file"


def fault_of(to: Destination, status: int, headers: Mapping[str, str]) -> PeerUnavailable | PeerRefused | None:
    """What an HTTP status says of the destination; None when it speaks of the object (or is no failure)."""
    name = where(to)
    if 300 <= status < 400:
        return PeerRefused(f"{name} sends to another address ({status}); write that address into url", status=status)
    if status == 401:
        return PeerRefused(f"{name} does not accept the credentials (401); check username, password, token", status=status)
    if status == 403:
        return PeerRefused(f"{name} does not allow this to the account (403); allow it there", status=status)
    if status in (404, 405, 501):
        return PeerRefused(f"{name} has no such service ({status}); check url, and that it is enabled there", status=status)
    if status in (408, 425, 429, 502, 503, 504, 507):
        seconds = _retry_after_seconds(headers)
        asks = f"; it asks to be called again in {seconds:.0f} s" if seconds else ""
        return PeerBusy(f"{name} cannot answer now ({status}){asks}", retry_after_seconds=seconds)
    if status >= 500:
        return AnswerLost(f"{name} failed with an error of its own ({status}); its log says why")
    return None


def _retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Seconds, from a number or a date; 0 when it says nothing that makes sense."""
    value = headers.get("Retry-After")
    if not value:
        return 0.0
    try:
        seconds = Retry(0).parse_retry_after(value)
    except urllib3.exceptions.InvalidHeader:
        return 0.0
    return min(float(seconds), LONGEST_RETRY_AFTER_SECONDS)


def plain(response: requests.Response) -> str:
    """What a person would read of an answer: JSON's own message where it has one, nothing of a page."""
    kind = response.headers.get("Content-Type", "")
    if "json" in kind:
        try:
            said = response.json()
        except requests.exceptions.JSONDecodeError:
            return ""
        parts = (
            [said.get(key) for key in ("Message", "message", "Details", "detail", "error")] if isinstance(said, dict) else []
        )
        return " - ".join(part for part in dict.fromkeys(parts) if isinstance(part, str) and part)
    return response.text[:_MOST_BODY_LETTERS] if kind.startswith("text/plain") else ""
