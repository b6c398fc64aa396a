"""What each service tells the audit of: who did what there, or was refused, in one body."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from covey_contracts.base import Event, Sealed, SealedBody


class ActOutcome(StrEnum):
    """What came of an act."""

    DONE = "done"
    REFUSED = "refused"


class ActAuthority(StrEnum):
    """What gave the right to act: an office of the carrier's staff, rights held in the group, or nothing."""

    STAFF = "staff"
    GRANT = "grant"
    NONE = "none"


class Origin(SealedBody):
    """From where."""

    sealed_for: ClassVar[str] = "identity"

    address: Annotated[str | None, Field(description="The address that the request came from; null for a command.")]


class ActRecorded(Event):
    """Somebody did something, looked at what is sensitive, or was refused. It holds IDs, and no value that was typed."""

    sealed_body: ClassVar[type[SealedBody] | None] = Origin

    act_id: UUID
    act: Annotated[str, Field(description="The operation, as the service's OpenAPI document names it: `submit`.")]
    outcome: ActOutcome
    authority: ActAuthority
    account_id: Annotated[UUID, Field(description="Who acted.")]
    session_id: Annotated[UUID | None, Field(description="In which sign-on session; null for a signed command.")]
    group_id: Annotated[UUID | None, Field(description="In which group; null when in none, or in many.")]
    about: Annotated[dict[str, UUID], Field(description="What it was about, by name: `transaction_id`.")]
    why: Annotated[str | None, Field(description="The code of the refusal; null when it was done.")]
    sealed: Sealed
