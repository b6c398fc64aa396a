"""A few who ask a service again and again, with a pause after each answer, and how long they wait for it meanwhile."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from bench import http_load

PAUSE_S = 0.15


class Asking:
    """One asker for each name, who sends its requests in turn while the block lasts.

    ``meanwhile`` says what the service does: answers that fall into one such time count for it, in ``took_s`` by
    (meanwhile, name). What is asked while it is None counts nowhere.
    """

    def __init__(self, url: str, requests: Mapping[str, Iterator[bytes]]) -> None:
        self.meanwhile: str | None = None
        self.took_s: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._url = url
        self._requests = requests
        self._askers: list[asyncio.Task[None]] = []

    async def _ask(self, name: str, begin_s: float) -> None:
        await asyncio.sleep(begin_s)
        for request in self._requests[name]:
            before = self.meanwhile
            load = await http_load.send_all(self._url, [request], connections=1)
            assert not load.refused, load.refused[0].decode()
            if before is not None and before == self.meanwhile:
                self.took_s[before, name] += load.latencies_s
            await asyncio.sleep(PAUSE_S)

    async def __aenter__(self) -> Self:
        share_s = PAUSE_S / len(self._requests)
        self._askers = [
            asyncio.create_task(self._ask(name, number * share_s)) for number, name in enumerate(self._requests)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for asker in self._askers:
            asker.cancel()
        ended = await asyncio.gather(*self._askers, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
