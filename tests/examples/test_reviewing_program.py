"""The reviewing program on real Kafka: what it decides, and that nothing is lost or decided twice, whenever it ends.

Whoever answers here stands in for the transactions service: it reads commands as that does, and answers as it is told.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from covey_chassis.access.signing import Signed, public_key, read_signed
from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, from_headers, to_headers
from covey_chassis.ids import new_id
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import headers, in_background, producing
from covey_contracts import EVENTS
from covey_contracts.programs import ReviewDecision
from covey_contracts.transactions import (
    ClassPlans,
    Contribution,
    RenewalChanges,
    ReviewDecisionAnswered,
    TransactionKind,
    TransactionSubmitted,
)
from covey_local.topics import apply_topics
from joserfc.util import urlsafe_b64decode

from .programs import EXAMPLES, Program, running

PROGRAM = EXAMPLES / "reviewing_program.py"
SUBMITTED, ANSWERED = TransactionSubmitted.topic.name, ReviewDecisionAnswered.topic.name


# --- the rule ---


def module() -> Any:
    spec = spec_from_file_location("reviewing_program", PROGRAM)
    assert spec is not None
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def offers(*plans: str, basis: str = "percent", employee: str = "50.00", name: str = "Full-time") -> ClassPlans:
    contribution = Contribution(basis=basis, employee=Decimal(employee), dependents=Decimal(0))
    return ClassPlans(employee_class=name, plan_ids=plans, contribution=contribution)


def changes(*classes: ClassPlans, enrollments: int = 0, terminations: int = 0) -> RenewalChanges:
    return RenewalChanges(
        renewal_id=new_id(),
        plan_year=2032,
        effective_date=date(2032, 2, 1),
        classes=classes,
        enrollments=enrollments,
        terminations=terminations,
    )


PLAN = "Full-time: choose a plan."
PAY = "Full-time: let the employer pay at least 50 percent of the employees' premium."


@pytest.mark.parametrize(
    ("asked", "to_do"),
    [
        (changes(offers("GOLD-80")), []),
        (changes(offers("GOLD-80", employee="100"), offers("BRONZE-60", name="Part-time")), []),
        (changes(offers("GOLD-80"), enrollments=6, terminations=4), []),
        (
            changes(offers("GOLD-80"), enrollments=6, terminations=5),
            ["More than 10 persons come or go: send a roster to your representative."],
        ),
        (changes(offers("GOLD-80", employee="49.99")), [PAY]),
        (changes(offers("GOLD-80", basis="amount", employee="900")), [PAY]),
        (changes(offers()), [PLAN]),
        (changes(offers(employee="10"), offers("GOLD-80", name="Part-time")), [PLAN, PAY]),
        (changes(), ["Name a class of employees and what it is offered."]),
    ],
)
def test_the_rule_approves_or_says_all_that_is_to_be_done(asked: RenewalChanges, to_do: list[str]) -> None:
    decision = module().Rule(Decimal(50), 10, "r-1").decide(json.loads(asked.model_dump_json()))

    if to_do:
        assert decision == {"decision": "return", "instructions": "\n".join(to_do), "representative_id": "r-1"}
    else:
        assert decision == {"decision": "approve"}


# --- the program, with somebody who answers ---


@dataclass(frozen=True)
class Command:
    """A command as it came."""

    event: ReviewDecision
    envelope: Envelope
    signed: Signed


Answering = Callable[[Command], ReviewDecisionAnswered | None]


def decided(command: Command) -> ReviewDecisionAnswered:
    return ReviewDecisionAnswered(
        transaction_id=command.event.transaction_id,
        command_id=command.signed.command_id,
        account_id=command.signed.account_id,
        outcome="decided",
    )


def refused(code: str) -> Answering:
    def answer(command: Command) -> ReviewDecisionAnswered:
        signed = command.signed
        return ReviewDecisionAnswered(
            transaction_id=command.event.transaction_id,
            command_id=None if code == "signature-not-good" else signed.command_id,
            account_id=None if code in ("signature-not-good", "key-not-registered") else signed.account_id,
            outcome="refused",
            refusal=code,
            sentence="So it is.",
        )

    return answer


def silent(_: Command) -> None:
    """As if nobody were there."""


@dataclass
class World:
    """A program's key, account and place; the transactions that are submitted to it; and whoever answers."""

    kafka: KafkaSettings
    producer: AIOKafkaProducer
    key: Path
    account_id: UUID = field(default_factory=new_id)
    representative_id: UUID = field(default_factory=new_id)
    group: str = field(default_factory=lambda: f"programs.{new_id().hex}")
    answer: Answering = decided
    commands: list[Command] = field(default_factory=list)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def program(self, *, patience_s: float = 30) -> AsyncIterator[Program]:
        options = {
            "--key": self.key,
            "--account": self.account_id,
            "--representative": self.representative_id,
            "--group": self.group,
            "--patience": patience_s,
        }
        words = [str(part) for pair in options.items() for part in pair]
        async with running([sys.executable, PROGRAM], self.kafka, words) as it:
            yield it

    async def submit(
        self, asked: RenewalChanges | None, *, kind: TransactionKind = TransactionKind.RENEWAL_CHANGES
    ) -> UUID:
        event = TransactionSubmitted(
            transaction_id=new_id(),
            kind=kind,
            status="pending review",
            group_id=new_id(),
            owner_id=new_id(),
            round=1,
            renewal_changes=asked,
            submitted_by=new_id(),
            submitted_at=Clock.now(),
        )
        await self.producer.send_and_wait(
            SUBMITTED,
            event.model_dump_json().encode(),
            key=event.key.encode(),
            partition=0,  # all in one: they are read in the order in which they are submitted
            headers=headers(SUBMITTED, event.key, sequence=2),
        )
        return event.transaction_id

    async def commanded(self, number: int) -> list[Command]:
        """The first so many commands of the program, when they are there."""
        async with asyncio.timeout(60), self._came:
            await self._came.wait_for(lambda: len(self.commands) >= number)
        return self.commands[:number]

    async def serve(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            if dict(record.headers)["ce_source"].decode() == f"/programs/{self.account_id}":
                await self._take(record)

    async def _take(self, record: ConsumerRecord) -> None:
        event = ReviewDecision.model_validate_json(record.value)
        assert record.key.decode() == event.key
        command = Command(event, from_headers(record.headers), read_signed(event.signed, audience="covey-transactions"))
        if (answer := self.answer(command)) is not None:
            envelope = Envelope(
                id=str(new_id()),
                source="/transactions",
                type=ANSWERED,
                time=Clock.now(),
                subject=answer.key,
                sequence=None,
                correlation_id=command.envelope.correlation_id,
                causation_id=command.envelope.id,
                traceparent=None,
            )
            value = answer.model_dump_json().encode()
            await self.producer.send_and_wait(ANSWERED, value, key=answer.key.encode(), headers=to_headers(envelope))
        async with self._came:
            self.commands.append(command)
            self._came.notify_all()


async def at_the_end(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    await consumer.seek_to_end()
    return {partition: await consumer.position(partition) for partition in consumer.assignment()}


async def keep_place_at_the_end(kafka: KafkaSettings, group: str) -> None:
    """What other tests have submitted is none of this program's business."""
    consumer = AIOKafkaConsumer(SUBMITTED, **connection(kafka), group_id=group, enable_auto_commit=False)
    async with consumer:
        await consumer.commit(await at_the_end(consumer))


@pytest.fixture
async def world(kafka: KafkaSettings, tmp_path: Path) -> AsyncIterator[World]:
    await apply_topics(kafka, [event.topic for event in EVENTS])
    async with (
        producing(kafka) as producer,
        AIOKafkaConsumer(ReviewDecision.topic.name, **connection(kafka)) as consumer,
    ):
        await at_the_end(consumer)
        world = World(kafka, producer, tmp_path / "reviewer.jwk")
        await keep_place_at_the_end(kafka, world.group)
        async with in_background(world.serve(consumer)):
            yield world


GOOD = changes(offers("GOLD-80", employee="75"))


async def test_what_follows_the_rule_is_approved_and_all_else_is_returned_with_what_is_to_be_done(world: World) -> None:
    approved = await world.submit(GOOD)
    returned = await world.submit(changes(offers("GOLD-80", employee="20")))
    async with world.program() as program:
        lines = await program.written(2)
        summary = await program.stop()

    commands = {each.event.transaction_id: each for each in world.commands}
    own = ("iss", "aud", "iat", "jti")
    said = {
        of: {name: told for name, told in each.signed.claims.items() if name not in own}
        for of, each in commands.items()
    }
    assert said == {
        approved: {"transaction_id": str(approved), "round": 1, "decision": "approve"},
        returned: {
            "transaction_id": str(returned),
            "round": 1,
            "decision": "return",
            "instructions": PAY,
            "representative_id": str(world.representative_id),
        },
    }
    for each in commands.values():
        assert each.signed.account_id == world.account_id
        assert (each.envelope.type, each.envelope.sequence) == (ReviewDecision.topic.name, None)
        assert each.envelope.correlation_id == "conversation"
    for line in lines:
        command = commands[UUID(line.pop("transaction_id"))]
        assert line.pop("answered")
        decision = command.signed.claims["decision"]
        assert line == {
            "round": 1,
            "decision": decision,
            "command_id": str(command.signed.command_id),
            "sent": 1,
            "outcome": "decided",
            "refusal": None,
        }
    assert summary == {"summary": True, "decided": 2, "refused": 0, "passed_over": 0, "ended_because": None}
    assert program.process.returncode == 0


async def test_its_key_is_its_own_and_the_public_half_is_shown_as_often_as_one_likes(world: World) -> None:
    async def shown() -> dict[str, str]:
        async with running([sys.executable, PROGRAM], world.kafka, ["--key", str(world.key), "--show-key"]) as program:
            line = await program.ended()
        assert (line is not None, program.process.returncode) == (True, 0)
        return line

    first, second = await shown(), await shown()
    await world.submit(GOOD)
    async with world.program() as program:
        await program.written(1)

    assert first == second
    assert first.keys() == {"kty", "crv", "x"}
    assert world.key.stat().st_mode & 0o777 == 0o600
    header = read_header(world.commands[0].event.signed)
    assert header == {"alg": "Ed25519", "typ": "covey-command+jwt", "jwk": first}
    assert public_key(first)


def read_header(signed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(signed.split(".", maxsplit=1)[0].encode()))
    return found


async def test_a_command_without_an_answer_is_sent_again_in_another_record(world: World) -> None:
    world.answer = lambda command: decided(command) if len(world.commands) == 2 else None
    await world.submit(GOOD)
    async with world.program(patience_s=0.3) as program:
        (line,) = await program.written(1)

    first, second, third = await world.commanded(3)
    assert first.signed.command_id == second.signed.command_id == third.signed.command_id
    assert len({each.envelope.id for each in world.commands}) == 3
    assert line["sent"] == 3


async def test_an_answer_to_another_programs_command_of_the_same_id_is_none_to_its_own(world: World) -> None:
    def another(command: Command) -> ReviewDecisionAnswered:
        return refused("round-is-over")(command).model_copy(update={"account_id": new_id()})

    world.answer = lambda command: decided(command) if world.commands else another(command)
    await world.submit(GOOD)
    async with world.program(patience_s=0.3) as program:
        (line,) = await program.written(1)

    assert (line["outcome"], line["sent"]) == ("decided", 2)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_what_it_had_no_answer_for_it_asks_again_after_its_end_by_the_same_command(
    world: World, how: int
) -> None:
    world.answer = silent
    await world.submit(GOOD)
    async with world.program() as program:
        (before,) = await world.commanded(1)
        summary = await program.stop(how)
    world.answer = decided
    async with world.program() as program:
        (line,) = await program.written(1)
        await program.stop()

    assert before.signed.command_id == world.commands[1].signed.command_id == UUID(line["command_id"])
    nothing = {"summary": True, "decided": 0, "refused": 0, "passed_over": 0, "ended_because": None}
    assert summary == (nothing if how is signal.SIGTERM else None)


async def test_what_it_had_an_answer_for_it_does_not_ask_again(world: World) -> None:
    await world.submit(GOOD)
    async with world.program() as program:
        await program.written(1)
        await program.stop()
    later = await world.submit(GOOD)
    async with world.program() as program:
        (line,) = await program.written(1)
        summary = await program.stop()

    assert UUID(line["transaction_id"]) == later
    assert summary["decided"] == 1
    assert len(world.commands) == 2


async def test_when_somebody_else_was_quicker_it_goes_on(world: World) -> None:
    world.answer = refused("round-is-over")
    await world.submit(GOOD)
    async with world.program() as program:
        (line,) = await program.written(1)
        world.answer = decided
        await world.submit(GOOD)
        await program.written(2)
        summary = await program.stop()

    assert (line["outcome"], line["refusal"]) == ("refused", "round-is-over")
    assert (summary["refused"], summary["decided"], program.process.returncode) == (1, 1, 0)


@pytest.mark.parametrize("code", ["signature-not-good", "key-not-registered", "account-locked", "not-yours"])
async def test_where_it_may_not_decide_it_ends_and_does_so_once_it_may(world: World, code: str) -> None:
    first = await world.submit(GOOD)
    world.answer = refused(code)
    async with world.program() as program:
        summary = await program.ended()
    said_before = {each.signed.command_id for each in world.commands}
    # As the service does: a command gets the answer that it got, whatever has become right since.
    world.answer = lambda command: (
        refused("not-yours")(command) if command.signed.command_id in said_before else decided(command)
    )
    async with world.program() as program_again:
        (line,) = await program_again.written(1)

    assert summary["ended_because"] == f"{code}: So it is."
    assert program.process.returncode == 1
    assert (UUID(line["transaction_id"]), line["outcome"]) == (first, "decided")


async def test_what_the_rule_says_nothing_of_is_left_to_people(world: World) -> None:
    await world.submit(None, kind=TransactionKind.ENROLLMENT)
    last = await world.submit(GOOD)
    async with world.program() as program:
        (line,) = await program.written(1)
        summary = await program.stop()

    assert UUID(line["transaction_id"]) == last
    assert len(world.commands) == 1
    assert summary["passed_over"] == 1


async def test_a_kafka_that_is_not_there_is_said_in_a_sentence(world: World) -> None:
    world.kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    async with world.program() as program:
        await program.ended()
        said = (await program.process.stderr.read()).decode()

    assert program.process.returncode == 2
    assert "Kafka at 127.0.0.1:1: " in said
    assert "Traceback" not in said
