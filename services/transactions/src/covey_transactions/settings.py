"""What transactions alone needs to be told."""

from typing import Annotated

from covey_chassis.settings import ServiceSettings
from pydantic import Field


class TransactionsSettings(ServiceSettings):
    """Read from the environment like the others: ``COVEY_CLAIM_MINUTES``, ``COVEY_RENEWAL_DEADLINE_DAYS``."""

    claim_minutes: Annotated[
        int, Field(ge=1, le=24 * 60, description="For how long a reviewer's claim keeps others from deciding.")
    ] = 30
    renewal_deadline_days: Annotated[
        int,
        Field(ge=1, le=365, description="How many days before the plan year begins is the last day to submit changes."),
    ] = 1
