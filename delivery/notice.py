"""Telling a person: a mail by SMTP, or a webhook (HTTP POST of JSON).

PeerUnavailable: try again later; PeerRefused: the server will not have it, the sentence says what to change.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import requests

from config.settings import Notify
from domain.errors import PeerRefused, PeerUnavailable

_TRY_AGAIN = (408, 425, 429)


def send_notice(to: Notify, *, subject: str, text: str, content: dict[str, str | int]) -> None:
    """text: for a person's mail; content: the same for a webhook's program."""
    if to.kind == "mail":
        _mail(to, subject, text)
    else:
        _post(to, content)


def _mail(to: Notify, subject: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = to.sender
    message["To"] = ", ".join(to.recipients)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="houndsfield")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(text)
    where = f"mail server {to.host}:{to.port}"
    try:
        with _connection(to) as server:
            if to.username:
                server.login(to.username, to.password)
            server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise PeerRefused(f"{where} does not accept username and password of [[notify]] {to.name}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise PeerRefused(f"{where} does not offer what [[notify]] {to.name} asks for: {error}") from error
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        raise _refusal(f"{where} refused every recipient of [[notify]] {to.name} (status {code})", code) from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(f"{where} answered with status {error.smtp_code}", error.smtp_code) from error
    except ssl.SSLError as error:
        raise PeerRefused(f"{where}: no TLS connection ({error.reason}); see [[notify]] {to.name} security") from error
    except (OSError, smtplib.SMTPException) as error:
        raise PeerUnavailable(f"{where} cannot be reached ({type(error).__name__})") from error


def _connection(to: Notify) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if to.security == "tls":
        return smtplib.SMTP_SSL(to.host, to.port, timeout=to.timeout_seconds, context=context)
    server = smtplib.SMTP(to.host, to.port, timeout=to.timeout_seconds)
    if to.security == "starttls":
        server.starttls(context=context)
    return server


def _refusal(sentence: str, code: int) -> PeerRefused | PeerUnavailable:
    """RFC 5321 4.2.1: 4xx is for now, 5xx for good."""
    return PeerUnavailable(sentence) if code < 500 else PeerRefused(sentence)


def _post(to: Notify, content: dict[str, str | int]) -> None:
    headers = {"Authorization": f"Bearer {to.token}"} if to.token else {}
    where = f"webhook of [[notify]] {to.name}"  # its URL may hold a secret
    try:
        with requests.post(
            to.url, json=content, headers=headers, timeout=to.timeout_seconds, allow_redirects=False, stream=True
        ) as answer:
            status = answer.status_code
    except requests.exceptions.SSLError as error:
        raise PeerRefused(f"{where}: its certificate is not trusted") from error
    except requests.RequestException as error:
        raise PeerUnavailable(f"{where} cannot be reached ({type(error).__name__})") from error
    if status >= 500 or status in _TRY_AGAIN:
        raise PeerUnavailable(f"{where} answered with HTTP status {status}")
    if not 200 <= status < 300:
        raise PeerRefused(f"{where} refused the notice with HTTP status {status}")
