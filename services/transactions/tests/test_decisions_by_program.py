"""Programs decide by signed commands: authorised when they are read, done once, answered always."""

from uuid import uuid4

import pytest
from covey_chassis.access import AccessUnverified, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_chassis.testing.signing import new_key, sign
from covey_contracts.programs import ReviewDecision
from covey_contracts.transactions import (
    DeclineLetter,
    ReturnLetter,
    ReviewApproved,
    ReviewDecisionOutcome,
    ReviewDeclined,
    ReviewReturned,
)

from .reviewing import Program, Reviewing, key_of

DECIDED, REFUSED = ReviewDecisionOutcome


@pytest.fixture
def reviewing(covey) -> Reviewing:
    return Reviewing(covey)


# --- what is decided ---


async def test_a_program_approves(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    command_id = new_id()

    answer = await reviewing.told(transaction_id, program.sign(transaction_id, jti=str(command_id)))

    assert (answer.transaction_id, answer.command_id, answer.outcome) == (transaction_id, command_id, DECIDED)
    assert (answer.refusal, answer.sentence) == (None, None)
    assert await reviewing.state(transaction_id) == ("completed", ["approved"])
    assert await reviewing.history(transaction_id) == ["TransactionOpened", "TransactionSubmitted", "ReviewApproved"]
    (told,) = await reviewing.covey.published(ReviewApproved)
    assert told.event.reviewer_id == program.account_id


async def test_a_program_returns_with_what_has_to_be_done_and_who_helps(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    representative_id = await reviewing.representative()
    said = {"instructions": "Add a W-9.\r\nAnd sign it.", "required_items": ["W-9", "signature"]}

    answer = await reviewing.told(
        transaction_id, program.sign(transaction_id, "return", representative_id=str(representative_id), **said)
    )

    assert answer.outcome is DECIDED
    assert await reviewing.state(transaction_id) == ("action required", ["returned"])
    (told,) = await reviewing.covey.published(ReviewReturned)
    letter = reviewing.covey.context.keyring.open(told.event.sealed, ReturnLetter)
    assert (letter.instructions, letter.required_items) == ("Add a W-9.\nAnd sign it.", ("W-9", "signature"))
    assert letter.representative.representative_id == representative_id


async def test_a_program_declines_with_a_reason(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    answer = await reviewing.told(transaction_id, program.sign(transaction_id, "decline", reason="Too small."))

    assert answer.outcome is DECIDED
    assert await reviewing.state(transaction_id) == ("declined", ["declined"])
    (told,) = await reviewing.covey.published(ReviewDeclined)
    assert reviewing.covey.context.keyring.open(told.event.sealed, DeclineLetter).reason == "Too small."


# --- who may ---


async def test_a_signature_that_is_not_good_is_answered_without_a_command_id(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    good = program.sign(transaction_id)
    other_audience = sign(
        program.key, program.account_id, audience="covey-membership", transaction_id=str(transaction_id)
    )

    for signed in ("", "no.jws.at-all", good[:-8] + "AAAAAAAA", good.rpartition(".")[0] + ".", other_audience):
        answer = await reviewing.told(transaction_id, signed)
        assert (answer.command_id, answer.outcome, answer.refusal) == (None, REFUSED, "signature-not-good")
        assert answer.sentence == "The command is not signed as it must be."

    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_a_key_that_is_not_or_no_longer_registered_decides_nothing(reviewing):
    transaction_id = await reviewing.submitted()
    unknown, former = await reviewing.program(registered=False), await reviewing.program()
    await reviewing.covey.know(key_of(former, active=False))
    borrowed = Program(former.account_id, unknown.key)

    for program in (unknown, former, borrowed):
        answer = await reviewing.told(transaction_id, program.sign(transaction_id))
        assert (answer.outcome, answer.refusal) == (REFUSED, "key-not-registered")
        assert answer.command_id is not None

    assert await reviewing.state(transaction_id) == ("pending review", [None])


@pytest.mark.parametrize("right", [each for each in StaffRight if each is not StaffRight.REVIEW_DECIDE])
async def test_no_other_right_of_staff_is_enough(reviewing, right):
    transaction_id, program = await reviewing.submitted(), await reviewing.program(right)

    answer = await reviewing.told(transaction_id, program.sign(transaction_id))

    assert (answer.outcome, answer.refusal) == (REFUSED, "not-yours")
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_the_right_counts_when_the_command_is_read_and_not_when_it_was_signed(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    signed = program.sign(transaction_id)
    await reviewing.covey.know(
        Fact(kind=FactKind.STAFF, id=program.account_id, account_id=program.account_id, active=False)
    )

    assert (await reviewing.told(transaction_id, signed)).refusal == "not-yours"


async def test_a_locked_account_decides_nothing(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    await reviewing.covey.know(
        Fact(kind=FactKind.ACCOUNT, id=program.account_id, account_id=program.account_id, active=False)
    )

    assert (await reviewing.told(transaction_id, program.sign(transaction_id))).refusal == "account-locked"


async def test_while_rights_cannot_be_verified_the_command_waits_and_nothing_is_answered(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    signed = program.sign(transaction_id)
    await reviewing.run("UPDATE access_applier SET authority = false")

    with pytest.raises(AccessUnverified):
        await reviewing.covey.deliver(ReviewDecision(transaction_id=transaction_id, signed=signed))
    assert await reviewing.answers() == []
    assert await reviewing.covey.parked() == []

    await reviewing.run("UPDATE access_applier SET authority = true")
    assert (await reviewing.told(transaction_id, signed)).outcome is DECIDED


async def test_a_program_does_not_review_what_it_has_worked_on(reviewing):
    program = await reviewing.program()
    transaction_id = await reviewing.submitted(owner_id=program.account_id)

    assert (await reviewing.told(transaction_id, program.sign(transaction_id))).refusal == "own-transaction"


async def test_a_reviewers_claim_keeps_programs_out_while_it_lasts(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    reviewer = await reviewing.reviewer()
    await reviewer.claim(transaction_id)

    refused = await reviewing.told(transaction_id, program.sign(transaction_id))
    await reviewing.let_claim_lapse(transaction_id)
    decided = await reviewing.told(transaction_id, program.sign(transaction_id))

    assert (refused.refusal, decided.outcome) == ("claimed-by-somebody-else", DECIDED)


# --- what cannot be decided ---


async def test_an_unknown_transaction_is_answered_too(reviewing):
    program, transaction_id = await reviewing.program(), uuid4()

    answer = await reviewing.told(transaction_id, program.sign(transaction_id))

    assert (answer.transaction_id, answer.refusal) == (transaction_id, "transaction-not-found")
    assert answer.sentence == "No transaction has this ID."


async def test_another_round_than_the_latest_is_not_decided(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    reviewer = await reviewing.reviewer()
    assert (await reviewer.send_back(transaction_id, await reviewing.representative())).status_code == 200
    returned = await reviewing.told(transaction_id, program.sign(transaction_id))
    await reviewing.submit(transaction_id)

    late = await reviewing.told(transaction_id, program.sign(transaction_id, number=1))
    early = await reviewing.told(transaction_id, program.sign(transaction_id, number=3))
    right = await reviewing.told(transaction_id, program.sign(transaction_id, number=2))

    assert [returned.refusal, late.refusal, early.refusal] == ["illegal-move", "round-is-over", "round-is-over"]
    assert right.outcome is DECIDED
    assert await reviewing.state(transaction_id) == ("completed", ["returned", "approved"])


@pytest.mark.parametrize("decision", ["approve", "return", "decline"])
async def test_no_late_decision_undoes_a_withdrawal(reviewing, decision):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    said = {
        "approve": {},
        "return": {"instructions": "Sign it.", "representative_id": str(await reviewing.representative())},
        "decline": {"reason": "Too small."},
    }
    await reviewing.withdraw(transaction_id)

    answer = await reviewing.told(transaction_id, program.sign(transaction_id, decision, **said[decision]))

    assert (answer.outcome, answer.refusal) == (REFUSED, "illegal-move")
    assert await reviewing.state(transaction_id) == ("withdrawn", ["withdrawn"])
    assert await reviewing.history(transaction_id) == [
        "TransactionOpened",
        "TransactionSubmitted",
        "TransactionWithdrawn",
    ]


async def test_somebody_who_is_not_on_the_list_helps_nobody(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    answer = await reviewing.told(
        transaction_id, program.sign(transaction_id, "return", instructions="Sign it.", representative_id=str(uuid4()))
    )

    assert answer.refusal == "representative-is-gone"


# --- what cannot be read ---

HELPER = "01a19d6e-d942-7a7f-8d0a-5aa0d4a8142a"
NOT_READABLE = [
    ({"decision": "aprove"}, "/decision: must be one of approve, return, decline"),
    ({"decision": ["approve"]}, "/decision: must be one of approve, return, decline"),
    ({"decision": None}, "/decision: must be one of approve, return, decline"),
    ({"round": 0}, "/round: Input should be greater than or equal to 1"),
    ({"round": "1"}, "/round: Input should be a valid integer"),
    ({"round": 1.0}, "/round: Input should be a valid integer"),
    ({"round": True}, "/round: Input should be a valid integer"),
    ({"round": 10**30}, "/round: Input should be less than or equal to 1000000"),
    ({"reason": "Secret."}, ": must have no claims but those of its decision"),
    ({"exp": 1, "Secret": 1}, ": must have no claims but those of its decision"),
    ({"decision": "decline"}, "/reason: Field required"),
    ({"decision": "decline", "reason": " \n "}, "/reason: must not be blank"),
    ({"decision": "decline", "reason": "Secret\x07"}, "/reason: must not have control characters"),
    ({"decision": "decline", "reason": "S" * 2001}, "/reason: must have 2000 characters at most"),
    ({"decision": "decline", "reason": 12}, "/reason: Input should be a valid string"),
    ({"decision": "return"}, "/instructions: Field required; /representative_id: Field required"),
    (
        {"decision": "return", "instructions": "S" * 5001, "representative_id": "Secret"},
        "/instructions: must have 5000 characters at most; /representative_id: is not what it must be",
    ),
    (
        {
            "decision": "return",
            "instructions": "Do.",
            "representative_id": HELPER,
            "required_items": ["Secret\n\x07", ""],
        },
        "/required_items/0: must not have control characters; /required_items/1: must not be blank",
    ),
    (
        {"decision": "return", "instructions": "Do.", "representative_id": HELPER, "required_items": ["S"] * 21},
        "/required_items: Tuple should have at most 20 items after validation, not 21",
    ),
    (
        {"decision": "return", "instructions": "Do.", "representative_id": HELPER, "required_items": "Secret"},
        "/required_items: is not what it must be",
    ),
]


@pytest.mark.parametrize(("claims", "sentence"), NOT_READABLE)
async def test_a_command_that_says_nothing_sensible_is_told_field_by_field_and_without_its_words(
    reviewing, claims, sentence
):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    command_id = new_id()

    answer = await reviewing.told(transaction_id, program.sign(transaction_id, **{"jti": str(command_id)} | claims))

    assert (answer.command_id, answer.outcome, answer.refusal) == (command_id, REFUSED, "command-not-readable")
    assert answer.sentence == f"The command's claims are not what a decision needs. {sentence}"
    assert await reviewing.state(transaction_id) == ("pending review", [None])
    assert await reviewing.covey.parked() == []


@pytest.mark.parametrize("about", [None, "", "Secret", HELPER, 12, ["Secret"]])
async def test_a_command_is_about_the_transaction_that_it_was_sent_for(reviewing, about):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    answer = await reviewing.told(transaction_id, program.sign(transaction_id, transaction_id=about))

    assert (answer.transaction_id, answer.command_id) == (transaction_id, None)
    assert answer.refusal == "command-not-readable"
    assert answer.sentence is not None
    assert "/transaction_id" in answer.sentence
    assert "Secret" not in answer.sentence
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_what_is_no_command_is_put_aside_and_keeps_no_other_from_being_done(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    endless = ReviewDecision.model_construct(transaction_id=transaction_id, signed="A" * 32_769)

    await reviewing.covey.deliver(endless)
    answer = await reviewing.told(transaction_id, program.sign(transaction_id))

    assert await reviewing.run("SELECT count(*) FROM dead_letter") == [(1,)]
    assert await reviewing.covey.parked() == []
    assert answer.outcome is DECIDED


# --- the same command again ---


async def test_a_message_that_comes_twice_is_one_command_and_one_answer(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    await reviewing.covey.deliver_twice(
        ReviewDecision(transaction_id=transaction_id, signed=program.sign(transaction_id))
    )

    assert [each.outcome for each in await reviewing.answers()] == [DECIDED]


async def test_a_command_that_is_sent_again_gets_the_same_answer_and_has_no_second_effect(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    signed = program.sign(transaction_id)

    answers = [await reviewing.told(transaction_id, signed) for _ in range(3)]

    assert answers == [answers[0]] * 3
    assert answers[0].outcome is DECIDED
    assert await reviewing.history(transaction_id) == ["TransactionOpened", "TransactionSubmitted", "ReviewApproved"]


async def test_a_topic_that_is_read_again_from_its_beginning_changes_nothing(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    signed = program.sign(
        transaction_id, "return", instructions="Sign it.", representative_id=str(await reviewing.representative())
    )
    first = await reviewing.told(transaction_id, signed)
    await reviewing.submit(transaction_id)
    await reviewing.run("DELETE FROM inbox")

    again = await reviewing.told(transaction_id, signed)

    assert again == first
    assert await reviewing.state(transaction_id) == ("pending review", ["returned", None])


async def test_a_refusal_stays_a_refusal_when_what_stood_against_it_is_gone(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    reviewer = await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    signed = program.sign(transaction_id)
    refused = await reviewing.told(transaction_id, signed)
    await reviewer.release(transaction_id)

    again = await reviewing.told(transaction_id, signed)

    assert again == refused
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_the_answer_stays_the_same_when_the_key_is_withdrawn(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    signed = program.sign(transaction_id)
    decided = await reviewing.told(transaction_id, signed)
    await reviewing.covey.know(key_of(program, active=False))

    assert await reviewing.told(transaction_id, signed) == decided


async def test_nobody_else_can_bring_an_answer_upon_a_command_beforehand(reviewing):
    transaction_id, other_id = await reviewing.submitted(), await reviewing.submitted("Other")
    program = await reviewing.program()
    command_id = str(new_id())
    signed = program.sign(transaction_id, jti=command_id)
    forged = Program(program.account_id, new_key()).sign(other_id, jti=command_id)

    refused = await reviewing.told(other_id, forged)
    diverted = await reviewing.told(other_id, signed)
    answer = await reviewing.told(transaction_id, signed)

    assert (refused.refusal, diverted.refusal) == ("key-not-registered", "command-not-readable")
    assert answer.outcome is DECIDED
    assert await reviewing.state(other_id) == ("pending review", [None])


async def test_two_commands_of_one_program_are_two(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    first = await reviewing.told(transaction_id, program.sign(transaction_id))
    second = await reviewing.told(transaction_id, program.sign(transaction_id))

    assert (first.outcome, second.refusal) == (DECIDED, "illegal-move")


async def test_one_id_for_two_transactions_is_two_commands_each_with_its_own_answer(reviewing):
    first_id, second_id = await reviewing.submitted("First"), await reviewing.submitted("Second")
    program, command_id = await reviewing.program(), str(new_id())
    commands = [
        (first_id, program.sign(first_id, jti=command_id)),
        (second_id, program.sign(second_id, "decline", jti=command_id, reason="Too small.")),
    ]

    answers = [await reviewing.told(transaction_id, signed) for transaction_id, signed in commands * 2]

    assert [each.transaction_id for each in answers] == [first_id, second_id] * 2
    assert [each.outcome for each in answers] == [DECIDED] * 4
    assert await reviewing.state(first_id) == ("completed", ["approved"])
    assert await reviewing.state(second_id) == ("declined", ["declined"])


async def test_an_answer_names_the_program_only_if_its_key_has_signed(reviewing):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    other, command_id = await reviewing.program(), str(new_id())
    forged = Program(program.account_id, new_key())

    answers = [
        await reviewing.told(transaction_id, each.sign(transaction_id, jti=command_id, number=number))
        for each, number in ((forged, 1), (other, 9), (program, 1))
    ]

    assert {str(each.command_id) for each in answers} == {command_id}
    assert [(each.account_id, each.refusal) for each in answers] == [
        (None, "key-not-registered"),
        (other.account_id, "round-is-over"),
        (program.account_id, None),
    ]
    assert (await reviewing.told(transaction_id, "x")).account_id is None


async def test_no_answer_and_nothing_that_is_kept_of_a_command_has_its_words(reviewing, logged):
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    await reviewing.told(transaction_id, program.sign(transaction_id, "decline", reason="Secret\x07"))
    await reviewing.told(transaction_id, program.sign(transaction_id, "decline", reason="Secret."))

    kept = await reviewing.run(
        "SELECT convert_from(payload, 'UTF8') FROM outbox UNION ALL SELECT answer::text FROM program_command"
    )

    assert "Secret" not in str(kept) + logged()
