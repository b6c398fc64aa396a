"""Two who act on one transaction at once: one after the other, and whoever comes second is told what is so by then."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest
from covey_chassis.clock import Clock
from covey_chassis.consuming import Span, take
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.ids import new_id
from covey_chassis.testing import ArrivedRecord, Harness
from covey_contracts.programs import ReviewDecision
from covey_contracts.transactions import ReviewDecisionOutcome
from covey_transactions.decisions import decisions
from covey_transactions.use_cases.answer_command import answer_command
from sqlalchemy import text

from .reviewing import Program, Reviewer, Reviewing

# Drawn by hand: what the second of two is told, of whom the first always wins. Each is somebody else.
GRID = """
             approve                     decline                     return                      claim                       program                     withdraw
  approve    illegal-move                illegal-move                illegal-move                illegal-move                illegal-move                illegal-move
  decline    illegal-move                illegal-move                illegal-move                illegal-move                illegal-move                illegal-move
  return     illegal-move                illegal-move                illegal-move                illegal-move                illegal-move                won
  claim      claimed-by-somebody-else    claimed-by-somebody-else    claimed-by-somebody-else    claimed-by-somebody-else    claimed-by-somebody-else    won
  program    illegal-move                illegal-move                illegal-move                illegal-move                illegal-move                illegal-move
  withdraw   illegal-move                illegal-move                illegal-move                illegal-move                illegal-move                illegal-move
"""  # noqa: E501 - as wide as there are acts
HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, row[1:], strict=True)) for row in ROWS}
BECOMES = {
    "approve": ("completed", ["approved"]),
    "decline": ("declined", ["declined"]),
    "return": ("action required", ["returned"]),
    "claim": ("pending review", [None]),
    "program": ("declined", ["declined"]),
    "withdraw": ("withdrawn", ["withdrawn"]),
}
TOLD = {
    "approve": "ReviewApproved",
    "decline": "ReviewDeclined",
    "return": "ReviewReturned",
    "claim": "ReviewClaimed",
    "program": "ReviewDeclined",
    "withdraw": "TransactionWithdrawn",
}


@pytest.fixture
def reviewing(covey) -> Reviewing:
    return Reviewing(covey)


@dataclass(frozen=True)
class Act:
    """Somebody who is about to do something; called, they do it: ``won``, or what they were told."""

    kind: str
    reviewing: Reviewing
    reviewer: Reviewer
    program: Program
    representative_id: UUID

    @classmethod
    async def of(cls, kind: str, reviewing: Reviewing) -> "Act":
        return cls(
            kind,
            reviewing,
            await reviewing.reviewer(),
            await reviewing.program(),
            await reviewing.representative(),
        )

    async def __call__(self, transaction_id: UUID) -> str:
        if self.kind == "program":
            answer = await self.reviewing.told(
                transaction_id, self.program.sign(transaction_id, "decline", reason="Too small.")
            )
            return answer.refusal or "won"
        answer = await {
            "approve": lambda: self.reviewer.approve(transaction_id),
            "decline": lambda: self.reviewer.decline(transaction_id),
            "return": lambda: self.reviewer.send_back(transaction_id, self.representative_id),
            "claim": lambda: self.reviewer.claim(transaction_id),
            "withdraw": lambda: self.reviewing.withdraw(transaction_id),
        }[self.kind]()
        return "won" if answer.status_code == 200 else answer.json()["code"]


@pytest.mark.parametrize("first", EXPECTED)
async def test_of_two_at_once_the_second_finds_what_the_first_has_done(reviewing, first):
    for second, expected in EXPECTED[first].items():
        if (first, second) == ("program", "program"):
            continue  # records of one partition come one after the other; see below for two partitions
        transaction_id = await reviewing.submitted(f"{first} and {second}")
        one, other = await Act.of(first, reviewing), await Act.of(second, reviewing)

        async with reviewing.covey.transaction() as held:
            await held.execute(text("SELECT FROM transaction WHERE id = :id FOR UPDATE"), {"id": transaction_id})
            tasks = [asyncio.create_task(one(transaction_id))]
            await reviewing.until_waiting(1)
            tasks.append(asyncio.create_task(other(transaction_id)))
            await reviewing.until_waiting(2)
        outcomes = await asyncio.gather(*tasks)

        assert outcomes == ["won", expected], second
        last = second if expected == "won" else first
        status, rounds = await reviewing.state(transaction_id)
        assert (status, rounds) == (BECOMES[last][0], ["returned"] if first == "return" else BECOMES[last][1])
        told = [TOLD[act] for act in ((first, second) if expected == "won" else (first,))]
        assert await reviewing.history(transaction_id) == ["TransactionOpened", "TransactionSubmitted", *told]
    assert await reviewing.covey.parked() == []


async def test_of_many_at_once_one_decides(reviewing):
    transaction_id, kinds = await reviewing.submitted(), ["approve", "decline", "return", "withdraw"] * 2 + ["program"]
    acts = [await Act.of(kind, reviewing) for kind in kinds]

    outcomes = await asyncio.gather(*(act(transaction_id) for act in acts))

    # A withdrawal may follow a return: then both had their effect.
    winners = [kind for kind, outcome in zip(kinds, outcomes, strict=True) if outcome == "won"]
    assert winners in ([each] for each in kinds) or sorted(winners) == ["return", "withdraw"]
    assert {outcome for outcome in outcomes if outcome != "won"} == {"illegal-move"}
    told = {TOLD[kind] for kind in winners}
    assert set((await reviewing.history(transaction_id))[2:]) == told
    status, rounds = await reviewing.state(transaction_id)
    assert status == BECOMES[min(winners, key=lambda kind: kind != "withdraw")][0]
    assert len(rounds) == 1
    assert await reviewing.covey.parked() == []


async def test_one_command_that_is_read_twice_at_once_is_done_once_and_answered_alike(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    command = ReviewDecision(transaction_id=transaction_id, signed=program.sign(transaction_id))

    async with reviewing.covey.transaction() as held:
        await held.execute(text("SELECT FROM transaction WHERE id = :id FOR UPDATE"), {"id": transaction_id})
        tasks = [asyncio.create_task(arrives(reviewing.covey, command, partition=number)) for number in (0, 1)]
        await reviewing.until_waiting(2)
    await asyncio.gather(*tasks)

    assert [answer.outcome for answer in await reviewing.answers()] == [ReviewDecisionOutcome.DECIDED] * 2
    assert await reviewing.history(transaction_id) == ["TransactionOpened", "TransactionSubmitted", "ReviewApproved"]
    assert await reviewing.covey.parked() == []


@pytest.mark.parametrize("number", [1, 2], ids=["decided", "refused"])
async def test_a_removal_waits_until_the_answer_is_kept_whatever_it_says(reviewing, number):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    command = ReviewDecision(transaction_id=transaction_id, signed=program.sign(transaction_id, number=number))

    async with reviewing.covey.context.requests.transaction() as acting:
        await answer_command(acting, command, at=Clock.now(), seal=reviewing.covey.context.keyring.seal)
        async with reviewing.covey.transaction() as removing:
            barrier = text("SELECT pg_try_advisory_xact_lock(access_key('person', :id))")
            free = await removing.scalar(barrier, {"id": program.account_id})

    assert free is False
    assert [answer.refusal for answer in await reviewing.answers()] == [None if number == 1 else "round-is-over"]


async def arrives(covey: Harness, command: ReviewDecision, *, partition: int) -> None:
    """The command in a record of that partition, as another message."""
    topic = command.topic.name
    async with covey.transaction() as session:
        await session.execute(
            text("INSERT INTO position VALUES (:consumer, :topic, :partition, 0)"),
            {"consumer": decisions.name, "topic": topic, "partition": partition},
        )
    envelope = Envelope(
        id=str(new_id()),
        source="/programs",
        type=topic,
        time=Clock.now(),
        subject=command.key,
        sequence=None,
        correlation_id=str(new_id()),
        causation_id=None,
        traceparent=None,
    )
    value, headers = command.model_dump_json().encode(), to_headers(envelope)
    record = ArrivedRecord(topic, partition, 0, command.key.encode(), value, headers)
    await take(decisions, covey.context.database_of(decisions), [record], [Span(topic, partition, 0, 1)])
