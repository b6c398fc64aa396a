"""What programs tell Covey: commands, which are signed by the program and answered by the service that they are for."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from covey_contracts.base import Event, Topic


class ReviewDecision(Event):
    """A program's command to decide a round. It is authorised when it is read, and always answered."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.decision.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="programs",
        listeners=("transactions",),
        kept_days=30,
        sequenced=False,
    )

    transaction_id: UUID
    signed: Annotated[
        str,
        Field(
            description="A compact JWS (RFC 7515) by a registered key of the program. Its claims: `iss` (the program's"
            " account), `aud` (`covey-transactions`), `iat`, `jti` (a UUID of this command), `transaction_id`, `round`,"
            " `decision` (`approve`, `return` or `decline`); to return, `instructions`, `representative_id` and,"
            " if one likes, `required_items`; to decline, `reason`. Other claims are refused. No words are about a person.",
            max_length=32_768,
        ),
    ]
