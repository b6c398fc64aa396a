"""The way to the mail server: a message is taken, or there is a reason, as a code without anybody's address in it."""

import asyncio
import contextlib
import re
import socket
import ssl
from types import TracebackType
from typing import Self

import aiosmtplib

from covey_notifications.letter import Letter
from covey_notifications.settings import Settings, SmtpTls

GOODBYE_S = 1.0


class NotSent(Exception):
    """The message was not taken. ``lasting``: it would not be taken later either."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


class MailServer:
    """One connection to the mail server: opened for the first message, kept for the next, dropped after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: aiosmtplib.SMTP | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await connection.quit()
        finally:
            connection.close()

    async def send(self, letter: Letter) -> None:
        """Hand the message over; it is taken when this returns.

        Raises:
            NotSent: it was not taken; or it was, and the answer did not come in time: the same Message-ID then goes out
                again.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_timeout_s):
                connection = await self._connected()
                try:
                    await connection.send_message(letter.message, sender=letter.sender, recipients=[letter.recipient])
                except aiosmtplib.SMTPNotSupported:
                    raise NotSent("smtputf8-not-supported", lasting=True) from None
        except NotSent:
            raise
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self._drop()
            # Not chained: what the server said may quote the address, and chained errors end up in logs.
            raise _not_sent(error) from None
        except BaseException:
            self._drop()
            raise

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._connection is None or not self._connection.is_connected:
            password = self._settings.smtp_password
            self._connection = aiosmtplib.SMTP(
                hostname=self._settings.smtp_host,
                port=self._settings.smtp_port,
                username=self._settings.smtp_username,
                password=password.get_secret_value() if password else None,
                local_hostname=socket.gethostname(),
                timeout=self._settings.smtp_timeout_s,
                use_tls=self._settings.smtp_tls is SmtpTls.TLS,
                start_tls=self._settings.smtp_tls is SmtpTls.STARTTLS,
            )
            await self._connection.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _not_sent(error: Exception) -> NotSent:
    """Only what is said of this recipient or message can be lasting; the rest is ours or the server's to mend."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal, *_]):
            return NotSent(_said(refusal), lasting=refusal.code >= 500)
        case aiosmtplib.SMTPDataError():
            return NotSent(_said(error), lasting=error.code >= 500)
        case aiosmtplib.SMTPResponseException():
            return NotSent(_said(error))
        case aiosmtplib.SMTPNotSupported():
            return NotSent("smtp-not-supported")
        case TimeoutError():
            return NotSent("timed-out")
    match error.__cause__ or error:
        case ConnectionRefusedError():
            return NotSent("connection-refused")
        case socket.gaierror():
            return NotSent("host-not-found")
        case ssl.SSLError():
            return NotSent("tls-failed")
    return NotSent("cannot-connect" if isinstance(error, aiosmtplib.SMTPConnectError) else "connection-lost")


def _said(error: aiosmtplib.SMTPResponseException) -> str:
    """The reply's code, with the enhanced one (RFC 3463) where there is one: ``smtp-550-5.1.1``."""
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", error.message)
    return f"smtp-{error.code}" + (f"-{enhanced[0]}" if enhanced else "")
