"""What a reviewer decides on a round, person or program alike: whatever is wrong with it is told field by field."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from covey_transactions.domain.words import Instructions, Reason, RequiredItem


class Decision(BaseModel):
    """What becomes of a round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: Annotated[
        int, Field(strict=True, ge=1, le=1_000_000, description="Which round was looked at: an earlier one is over.")
    ]


class Approval(Decision):
    """What was submitted is so."""


class Return(Decision):
    """Its owner has to correct it."""

    instructions: Annotated[Instructions, Field(description="What has to be done: 1 to 5000 characters, in lines.")]
    required_items: Annotated[
        tuple[RequiredItem, ...], Field(max_length=20, description="What has to be brought, item by item.")
    ] = ()
    representative_id: Annotated[UUID, Field(description="Who helps: somebody on the carrier's list.")]


class Decline(Decision):
    """It is refused, for good."""

    reason: Annotated[Reason, Field(description="Why: 1 to 2000 characters, in lines.")]
