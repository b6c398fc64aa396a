import os
import smtplib
import sys
from email.message import EmailMessage

import httpx
import pytest
from covey_local import ports, processes
from covey_local.processes import Command
from covey_local.services import HttpProcess


@pytest.fixture
def catcher(tmp_path):
    chosen = ports.choose(tmp_path / "ports.json", {"smtp": None, "http": None})
    smtp, http = map(str, (chosen["smtp"], chosen["http"]))
    return HttpProcess(
        name="mail",
        command=Command(
            arguments=[
                *(sys.executable, "-m", "covey_local.mail", "--smtp-port", smtp, "--http-port", http),
                *("--file", str(tmp_path / "mail.jsonl")),
            ],
            log=tmp_path / "mail.log",
            environment=os.environ,
        ),
        url=f"http://127.0.0.1:{http}",
        ready_path="/messages",
    )


@pytest.fixture
async def running(catcher):
    process = await processes.start(catcher)
    yield catcher
    await processes.stop(process)


def letter(subject: str, to: str = "ann@example.com") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Covey <no-reply@covey.example>", to, subject
    message["Message-ID"] = f"<{subject.split(maxsplit=1)[0].lower()}@covey.example>"
    message.set_content(f"{subject}: grüße")
    message.add_alternative(f"<p>{subject}</p>", subtype="html")
    return message


def send(catcher: HttpProcess, *messages: EmailMessage) -> None:
    smtp_port = int(catcher.command.arguments[catcher.command.arguments.index("--smtp-port") + 1])
    with smtplib.SMTP("127.0.0.1", smtp_port, timeout=10) as smtp:
        for message in messages:
            smtp.send_message(message)


def inbox(catcher: HttpProcess, **query):
    return httpx.get(f"{catcher.url}/messages", params=query).raise_for_status().json()


async def test_what_was_sent_is_shown_whole(running):
    send(running, letter("Renewal available"))

    (message,) = inbox(running)
    assert (message["index"], message["message_id"]) == (0, "<renewal@covey.example>")
    assert (message["from"], message["to"]) == ("no-reply@covey.example", ["ann@example.com"])
    assert (message["subject"], message["text"]) == ("Renewal available", "Renewal available: grüße\n")
    assert message["html"] == "<p>Renewal available</p>\n"
    assert message["headers"]["From"] == "Covey <no-reply@covey.example>"
    assert message["received_at"].endswith("+00:00")
    assert httpx.get(f"{running.url}/messages/0").json() == message


async def test_the_inbox_is_asked_by_recipient_and_from_an_index_on(running):
    send(running, letter("One"), letter("Two", to="bob@example.com"), letter("Three"))

    assert [m["subject"] for m in inbox(running, to="ANN@example.com")] == ["One", "Three"]
    assert [m["subject"] for m in inbox(running, after=0)] == ["Two", "Three"]
    assert httpx.get(f"{running.url}/messages/17").status_code == 404
    assert httpx.get(f"{running.url}/messages", params={"after": "x"}).status_code == 400


@pytest.mark.parametrize("code", [451, 550])
async def test_asked_for_failures_come_and_go(running, code):
    httpx.post(f"{running.url}/faults", json={"refuse": 2, "code": code}).raise_for_status()
    answers = []
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            send(running, letter("Refused"))
        answers.append(refusal.value.smtp_code)
    send(running, letter("Taken"))

    assert answers == [code, code]
    assert [m["subject"] for m in inbox(running)] == ["Taken"]


@pytest.mark.parametrize("wish", ["[]", "{", '{"refuse": -1}', '{"refuse": 1, "code": 200}', '{"code": 451}'])
async def test_a_failure_that_makes_no_sense_is_refused(running, wish):
    assert httpx.post(f"{running.url}/faults", content=wish).status_code == 422


async def test_messages_survive_a_kill_and_indexes_are_never_used_again(catcher):
    first = await processes.start(catcher)
    send(catcher, letter("One"))
    httpx.delete(f"{catcher.url}/messages").raise_for_status()
    send(catcher, letter("Two"))
    processes.kill_group(first.pid)
    await processes.ended(first)
    second = await processes.start(catcher)
    send(catcher, letter("Three"))

    kept = [(m["index"], m["subject"]) for m in inbox(catcher)]
    await processes.stop(second)
    assert kept == [(1, "Two"), (2, "Three")]
