"""A reviewing program: it decides on submitted renewal changes by a written rule, with aiokafka and joserfc alone.

    python reviewing_program.py --key reviewer.jwk --show-key
    python reviewing_program.py --key reviewer.jwk --account 01a1... --representative 01a2... --kafka 127.0.0.1:9092

The first line shows the public key (and makes the pair, if there is none, in a file for its owner's eyes only): the carrier
registers it for the program's account, which needs the staff right `review.decide`. The second follows
`covey.transaction.submitted.v1`, and for each round of renewal changes signs a command, sends it to
`covey.review.decision.v1`, and waits for what became of it on `covey.review.decision-answered.v1`.

Where Kafka asks who connects, `--user NAME` signs on (SASL, SCRAM-SHA-512), with the password in `KAFKA_PASSWORD`.

The rule: approved is what gives every class of employees a plan, lets the employer pay at least half of the employees'
premium, and moves no more than ten persons. All else is returned, with what is to be done and the representative who helps.

Nothing is lost and nothing is decided twice, whenever this ends and wherever it starts again:

- What it has had no answer for it reads again: its place in the topic is kept (as a consumer group) after the answers.
- A command's `jti` is made of the account and the submission's event ID, so the same submission always gets the same
  command. Covey does a command once, and answers it as often as it comes: an unanswered one is simply sent again.
- A command names its round: when somebody else was quicker, the answer says so, and that is that.

It writes one JSON line an answer (twice, with one `command_id`, when it was ended between the answer and keeping its
place), ends on SIGTERM or SIGINT, and writes a summary as its last line. Where it may not decide at all (the key is not
registered, the right is missing) it ends with 1, and keeps its place before what it was to decide. When Kafka is away for
long it ends with 2: start it again.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import CommitFailedError, KafkaError
from joserfc import jws
from joserfc.jwk import OKPKey

SUBMITTED = "covey.transaction.submitted.v1"
DECISION = "covey.review.decision.v1"
ANSWERED = "covey.review.decision-answered.v1"
AUDIENCE = "covey-transactions"
ALGORITHM: Literal["Ed25519"] = "Ed25519"
NOT_ALLOWED = ("signature-not-good", "key-not-registered", "account-locked", "not-yours")
"""Refusals that every other command would get, too."""


# --- the rule ---


@dataclass(frozen=True)
class Rule:
    """What is approved. ``share_min`` is the employer's part of the employees' premium, in percent."""

    share_min: Decimal
    persons_max: int
    representative_id: str | None

    def decide(self, changes: dict[str, Any]) -> dict[str, object]:
        """The decision on renewal changes, as claims of a command."""
        to_do = self._to_do(changes)
        if not to_do:
            return {"decision": "approve"}
        return {"decision": "return", "instructions": "\n".join(to_do), "representative_id": self.representative_id}

    def _to_do(self, changes: dict[str, Any]) -> list[str]:
        found = [] if changes["classes"] else ["Name a class of employees and what it is offered."]
        for each in changes["classes"]:
            name, contribution = each["employee_class"], each["contribution"]
            if not each["plan_ids"]:
                found.append(f"{name}: choose a plan.")
            if contribution["basis"] != "percent" or Decimal(contribution["employee"]) < self.share_min:
                found.append(
                    f"{name}: let the employer pay at least {self.share_min} percent of the employees' premium."
                )
        if changes["enrollments"] + changes["terminations"] > self.persons_max:
            found.append(f"More than {self.persons_max} persons come or go: send a roster to your representative.")
        return found


# --- commands and their answers ---


class Signer:
    """Signs commands of one account with its key."""

    def __init__(self, key: OKPKey, account_id: UUID) -> None:
        self.account_id = account_id
        self._key = key
        self._header = {"alg": ALGORITHM, "typ": "covey-command+jwt", "jwk": public_jwk(key)}

    def sign(self, command_id: str, claims: dict[str, object]) -> str:
        """A compact JWS (RFC 7515)."""
        said = {
            "iss": str(self.account_id),
            "aud": AUDIENCE,
            "iat": int(datetime.now(UTC).timestamp()),
            "jti": command_id,
            **claims,
        }
        return jws.serialize_compact(self._header, json.dumps(said), self._key, algorithms=[ALGORITHM])


class Answers:
    """Follows the answers to an account's commands from now on, and gives each to whoever waits for it."""

    def __init__(self, consumer: AIOKafkaConsumer, account_id: UUID) -> None:
        self._consumer = consumer
        self._account_id = str(account_id)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._sent: dict[str, str] = {}

    async def begin(self) -> None:
        """From here on no answer is missed: an answer comes after its command."""
        await self._consumer.seek_to_end()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)

    async def listen(self) -> None:
        async for record in self._consumer:
            answer = json.loads(record.value)
            command_id = None
            if answer["account_id"] == self._account_id:
                command_id = answer["command_id"]
            elif answer["account_id"] is None:
                # Whose it was is not certain: if it was ours, the answer names the record that we have sent.
                command_id = self._sent.get(dict(record.headers).get("ce_causationid", b"").decode())
            waiting = self._waiting.get(command_id or "")
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def expect(self, command_id: str) -> "asyncio.Future[dict[str, Any]]":
        return self._waiting.setdefault(command_id, asyncio.get_running_loop().create_future())

    def sent(self, event_id: str, command_id: str) -> None:
        self._sent[event_id] = command_id

    def forget(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        self._sent.clear()


class NotAllowed(Exception):
    """The program may not decide: somebody has to mend that."""


class Reviewer:
    """Decides on what was submitted."""

    def __init__(
        self, rule: Rule, signer: Signer, producer: AIOKafkaProducer, answers: Answers, *, patience_s: float
    ) -> None:
        self.counted: Counter[str] = Counter()
        self._rule = rule
        self._signer = signer
        self._producer = producer
        self._answers = answers
        self._patience_s = patience_s

    async def review(self, submissions: AIOKafkaConsumer) -> None:
        """Decide on all that comes, a batch at a time, and keep the place after each."""
        while True:
            batch = await submissions.getmany(timeout_ms=500, max_records=100)
            if not batch:
                continue
            decisions = [self._decide(record) for records in batch.values() for record in records]
            for answer in await asyncio.gather(*decisions):
                if answer.get("refusal") in NOT_ALLOWED:
                    raise NotAllowed(f"{answer['refusal']}: {answer['sentence']}")
            self._answers.forget()
            try:
                await submissions.commit()
            except CommitFailedError:
                sys.stderr.write("Somebody else has taken over meanwhile, and gets the same answers.\n")

    async def _decide(self, record: ConsumerRecord) -> dict[str, Any]:
        """What became of the command; nothing, where the rule says nothing of this kind of transaction."""
        submitted = json.loads(record.value)
        if submitted["kind"] != "renewal changes":
            self.counted["passed over"] += 1
            return {}
        cause = {name: value.decode() for name, value in record.headers}
        command_id = str(uuid5(self._signer.account_id, cause["ce_id"]))
        named = {"transaction_id": submitted["transaction_id"], "round": submitted["round"]}
        claims = named | self._rule.decide(submitted["renewal_changes"])
        answer, times = await self._ask(command_id, claims, cause)
        if answer.get("refusal") in NOT_ALLOWED:
            # Maybe it was so some time ago, and has been mended: the same command would never get another answer.
            command_id = str(uuid4())
            answer, times = await self._ask(command_id, claims, cause)
            if answer.get("refusal") in NOT_ALLOWED:
                return answer
        self.counted[answer["outcome"]] += 1
        line = {
            "answered": datetime.now(UTC).isoformat(),
            **named,
            "decision": claims["decision"],
            "command_id": command_id,
            "sent": times,
            "outcome": answer["outcome"],
            "refusal": answer.get("refusal"),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        return answer

    async def _ask(self, command_id: str, claims: dict[str, Any], cause: dict[str, str]) -> tuple[dict[str, Any], int]:
        """The answer to a command, and how often that had to be sent."""
        transaction_id = claims["transaction_id"]
        command = {"transaction_id": transaction_id, "signed": self._signer.sign(command_id, claims)}
        expected = self._answers.expect(command_id)
        times = 0
        while not expected.done():
            times += 1
            headers = self._headers(transaction_id, cause)
            self._answers.sent(headers["ce_id"], command_id)
            await self._producer.send_and_wait(
                DECISION,
                json.dumps(command).encode(),
                key=transaction_id.encode(),
                headers=[(name, value.encode()) for name, value in headers.items()],
            )
            await asyncio.wait([expected], timeout=self._patience_s)
        return expected.result(), times

    def _headers(self, transaction_id: str, cause: dict[str, str]) -> dict[str, str]:
        """CloudEvents 1.0, Kafka binary binding. A command that is sent again is the same command in another record."""
        return {
            "ce_specversion": "1.0",
            "ce_id": str(uuid4()),
            "ce_source": f"/programs/{self._signer.account_id}",
            "ce_type": DECISION,
            "ce_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "ce_subject": transaction_id,
            "ce_partitionkey": transaction_id,
            "ce_correlationid": cause.get("ce_correlationid", cause["ce_id"]),
            "ce_causationid": cause["ce_id"],
            "content-type": "application/json",
        }


# --- the key ---


def load_key(path: Path) -> OKPKey:
    """The key in the file; a new one, which only the file's owner may read, when there is none."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(OKPKey.generate_key(ALGORITHM).as_dict(private=True), file)
    except FileExistsError:
        pass
    return OKPKey.import_key(json.loads(path.read_text()))


def public_jwk(key: OKPKey) -> dict[str, object]:
    """The public half (RFC 8037)."""
    known = key.as_dict(private=False)
    return {name: known[name] for name in ("kty", "crv", "x")}


# --- from start to end ---


def connection(bootstrap_servers: str, user: str | None) -> dict[str, str]:
    """How to reach Kafka, and to sign on to it. Where it has TLS, the protocol is SASL_SSL."""
    found = {"bootstrap_servers": bootstrap_servers}
    if user:
        found |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": os.environ["KAFKA_PASSWORD"],
        }
    return found


async def run(options: argparse.Namespace) -> tuple[Counter[str], str | None]:
    """Review until a signal asks for the end. What was done, and why it could not go on, if so."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    kafka = connection(options.kafka, options.user)
    submissions = AIOKafkaConsumer(
        SUBMITTED,
        **kafka,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    answered = AIOKafkaConsumer(ANSWERED, **kafka, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(**kafka, acks="all", enable_idempotence=True)
    answers = Answers(answered, options.account)
    rule = Rule(options.share_min, options.persons_max, options.representative)
    signer = Signer(load_key(options.key), options.account)
    reviewer = Reviewer(rule, signer, producer, answers, patience_s=options.patience)
    started = []
    tasks: list[asyncio.Task[Any]] = []
    try:
        for client in (answered, producer, submissions):
            await client.start()
            started.append(client)
        await answers.begin()
        work = [answers.listen(), reviewer.review(submissions), stopping.wait()]
        tasks = [asyncio.create_task(each) for each in work]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except NotAllowed as why:
        return reviewer.counted, str(why)
    finally:
        for task in tasks:
            task.cancel()  # what has no answer yet is asked again next time
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in reversed(started):
            await client.stop()
    return reviewer.counted, None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--key", required=True, type=Path, help="the file with the key pair; made if it is not there")
    parser.add_argument("--show-key", action="store_true", help="write the public key, and end")
    parser.add_argument("--kafka", help="bootstrap servers, host:port")
    parser.add_argument("--user", help="who signs on to Kafka, with the password in KAFKA_PASSWORD")
    parser.add_argument("--account", type=UUID, help="the program's account")
    parser.add_argument("--representative", help="whom the carrier names to those who have to act: an ID")
    parser.add_argument("--group", default="programs.reviewing", help="the consumer group that keeps the place")
    parser.add_argument("--share-min", type=Decimal, default=Decimal(50), help="in percent")
    parser.add_argument("--persons-max", type=int, default=10)
    parser.add_argument("--patience", type=float, default=15, help="seconds until an unanswered command is sent again")
    options = parser.parse_args(arguments)
    if options.show_key:
        sys.stdout.write(json.dumps(public_jwk(load_key(options.key))) + "\n")
        return 0
    if not (options.kafka and options.account and options.representative):
        parser.error("to review, --kafka, --account and --representative are needed")
    try:
        counted, why = asyncio.run(run(options))
    except KafkaError as error:
        sys.stderr.write(f"Kafka at {options.kafka}: {error}\n")
        return 2
    numbers = {name.replace(" ", "_"): counted[name] for name in ("decided", "refused", "passed over")}
    sys.stdout.write(json.dumps({"summary": True, **numbers, "ended_because": why}) + "\n")
    return 0 if why is None else 1


if __name__ == "__main__":
    sys.exit(main())
