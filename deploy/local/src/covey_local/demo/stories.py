"""What happens to one group of the book beside the season: who gets access, the main job, and who loses access again."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from covey_chassis.settings import KafkaSettings

from covey_local.demo.access import Access, access_is_given, access_is_taken_back
from covey_local.demo.main_job import check_told, main_job
from covey_local.demo.people import NotAsItShould
from covey_local.demo.platform import NotInTime
from covey_local.demo.story import Story
from covey_local.refused import Refused

Outcome = TypeVar("Outcome")


@dataclass(kw_only=True)
class Stories:
    """All of one group. Where one can't go on, that is noted as wrong, and the next one begins."""

    story: Story
    kafka: KafkaSettings
    folder: Path
    access: Access | None = None

    async def begin(self) -> None:
        """Before the days pass."""
        self.access = await self._tell(access_is_given(self.story))

    async def go_on(self, today: date) -> None:
        """Once they have passed, and the group's renewal is available."""
        self.story.today = today
        if self.access:
            await self._tell(main_job(self.access, kafka=self.kafka, folder=self.folder))
            await self._tell(access_is_taken_back(self.access))

    async def end(self) -> list[str]:
        """What was wrong, when everything else is done, too."""
        await self._tell(check_told(self.story))
        return self.story.wrong

    async def _tell(self, told: Coroutine[Any, Any, Outcome]) -> Outcome | None:
        try:
            return await told
        except (NotAsItShould, NotInTime, Refused) as error:
            self.story.note(str(error))
            return None
