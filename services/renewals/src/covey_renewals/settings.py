"""What renewals alone needs to be told."""

from typing import Annotated

from covey_chassis.settings import ServiceSettings
from pydantic import Field


class RenewalsSettings(ServiceSettings):
    """Read from the environment like the others: ``COVEY_LOOK_AHEAD_DAYS``."""

    look_ahead_days: Annotated[
        int, Field(ge=0, le=3650, description="How far ahead renewals are listed that are not available yet.")
    ] = 120
