"""A mail server that keeps what it is sent and shows it over HTTP. It delivers nothing to anyone.

    python -m covey_local.mail --smtp-port 20025 --http-port 20080 --file .covey/mail.jsonl

``GET /messages`` lists (newest last; ``?to=`` one recipient, ``?after=`` an index), ``GET /messages/{index}`` shows
one, ``DELETE /messages`` forgets all. ``POST /faults {"refuse": 3, "code": 451}`` makes the next three deliveries fail.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, TypedDict

import typer
import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FAULT_CODES = (451, 550)
Message = TypedDict(
    "Message",
    {
        "index": int,
        "received_at": str,
        "message_id": str | None,
        "from": str,
        "to": list[str],
        "subject": str,
        "text": str | None,
        "html": str | None,
        "headers": dict[str, str],
    },
)


class Inbox:
    """Every message that was taken, in the order in which they came; a file keeps them over a restart."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._messages: list[Message] = []
        self._next = 0
        file.parent.mkdir(parents=True, exist_ok=True)
        for line in _whole_lines(file):
            entry = json.loads(line)
            if "next" in entry:
                self._next = entry["next"]
            else:
                self._messages.append(entry)
                self._next = entry["index"] + 1

    def take(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Keep a message. It is in the file before this returns."""
        message = _read(self._next, sender, recipients, content)
        with self._file.open("a") as file:
            file.write(json.dumps(message) + "\n")
        self._messages.append(message)
        self._next += 1

    def messages(self, *, to: str | None = None, after: int = -1) -> list[Message]:
        """The messages to one recipient, or to all, beyond an index. Indexes are never used again."""
        return [
            message
            for message in self._messages
            if message["index"] > after and (to is None or to.lower() in map(str.lower, message["to"]))
        ]

    def clear(self) -> None:
        self._file.write_text(json.dumps({"next": self._next}) + "\n")
        self._messages.clear()


class Faults:
    """How many deliveries shall fail next, and with which code."""

    def __init__(self) -> None:
        self.refuse = 0
        self.code = FAULT_CODES[0]

    def strike(self) -> bool:
        """Whether this delivery fails."""
        struck = self.refuse > 0
        self.refuse -= struck
        return struck


class Catcher:
    """What the SMTP server does with a message."""

    def __init__(self, inbox: Inbox, faults: Faults) -> None:
        self._inbox = inbox
        self._faults = faults

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name there
        if self._faults.strike():
            return f"{self._faults.code} Refused, as asked"
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        self._inbox.take(envelope.mail_from or "", envelope.rcpt_tos, content)
        return "250 Taken"


def http(inbox: Inbox, faults: Faults) -> Starlette:
    """The inbox and the failure switch over HTTP."""

    async def listed(request: Request) -> Response:
        after = request.query_params.get("after", "-1")
        if not after.removeprefix("-").isdigit():
            return _problem(400, "`after` is the index of a message.")
        return JSONResponse(inbox.messages(to=request.query_params.get("to"), after=int(after)))

    async def shown(request: Request) -> Response:
        index = request.path_params["index"]
        found = [message for message in inbox.messages() if message["index"] == index]
        return JSONResponse(found[0]) if found else _problem(404, "No message has this index.")

    async def cleared(_: Request) -> Response:
        inbox.clear()
        return Response(status_code=204)

    async def set_faults(request: Request) -> Response:
        try:
            wanted = await request.json()
            refuse, code = wanted["refuse"], wanted.get("code", FAULT_CODES[0])
        except (ValueError, KeyError, TypeError, AttributeError):
            refuse, code = None, None
        if not isinstance(refuse, int) or refuse < 0 or code not in FAULT_CODES:
            return _problem(422, '{"refuse": how many deliveries shall fail, "code": 451 or 550}')
        faults.refuse, faults.code = refuse, code
        return JSONResponse({"refuse": refuse, "code": code})

    return Starlette(
        routes=[
            Route("/messages", listed),
            Route("/messages", cleared, methods=["DELETE"]),
            Route("/messages/{index:int}", shown),
            Route("/faults", set_faults, methods=["POST"]),
        ]
    )


async def serve(*, host: str, smtp_port: int, http_port: int, file: Path) -> None:
    """Run both servers until SIGTERM or SIGINT."""
    inbox, faults = Inbox(file), Faults()
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(Catcher(inbox, faults), hostname="localhost", enable_SMTPUTF8=True), host, smtp_port
    )
    config = uvicorn.Config(http(inbox, faults), host=host, port=http_port, log_level="warning")
    async with smtp:
        await uvicorn.Server(config).serve()


def _read(index: int, sender: str, recipients: list[str], content: bytes) -> Message:
    mail = message_from_bytes(content, EmailMessage, policy=policy.default)
    return {
        "index": index,
        "received_at": datetime.now(UTC).isoformat(),
        "message_id": mail["message-id"],
        "from": sender,
        "to": recipients,
        "subject": mail["subject"] or "",
        "text": _body(mail, "plain"),
        "html": _body(mail, "html"),
        "headers": {name: ", ".join(map(str, mail.get_all(name, ()))) for name in dict.fromkeys(mail.keys())},
    }


def _body(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if not isinstance(part, EmailMessage):
        return None
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except LookupError:  # A character set that nobody knows is no reason to refuse a message.
        return bytes(part.get_payload(decode=True)).decode(errors="replace")


def _whole_lines(file: Path) -> Iterator[str]:
    """The lines of the file, without one that a crash cut off: its message was never taken."""
    if file.exists():
        text = file.read_text()
        whole, _, rest = text.rpartition("\n")
        if rest:
            file.write_text(f"{whole}\n" if whole else "")
        yield from whole.splitlines()


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)


def main(
    smtp_port: Annotated[int, typer.Option()],
    http_port: Annotated[int, typer.Option()],
    file: Annotated[Path, typer.Option(help="Where the messages are kept.")] = Path(".covey/mail.jsonl"),
    host: str = "127.0.0.1",
) -> None:
    """Catch mail until stopped."""
    asyncio.run(serve(host=host, smtp_port=smtp_port, http_port=http_port, file=file))


if __name__ == "__main__":
    typer.run(main)
