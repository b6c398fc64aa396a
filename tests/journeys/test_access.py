"""The access story by itself, on a book of a few groups; and that whoever is still answered is noticed."""

import time
from pathlib import Path

import httpx
import pytest
from covey_local.demo.platform import Api, wait_for
from covey_local.demo.run import platform_of
from covey_local.demo.season import run_season
from covey_local.demo.watch import Watch, WatchedGroup, answered, closed, reads, watching
from covey_local.stack import Stack
from rich.console import Console

pytestmark = pytest.mark.timeout(300)


async def test_whoever_is_removed_is_answered_nothing_more_by_any_service(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", durable=False, cache=Path(".covey/cache"))
    console = Console(record=True, width=160, file=(tmp_path / "console.txt").open("w"))
    try:
        async with stack:
            running = platform_of(stack, patience_s=60)
            right = await run_season(running, folder=tmp_path, groups=4, days=0, seed=5, kill=None, console=console)
            said = console.export_text()
            assert right, said
            assert 'removal to "removed"' in said

            # A check that can't fail is no check: whoever has rights is noticed by it.
            api = Api(running)
            try:
                await _somebody_with_rights_is_noticed(api, api.signed_on(running.accounts["staff"]))
            finally:
                await api.close()
    finally:
        stack.home.delete()


async def _somebody_with_rights_is_noticed(api: Api, staff: httpx.Auth) -> None:
    found = (await api.get("membership", "/v1/groups?group_number=G00001"))["items"][0]
    renewals = await api.get("renewals", f"/v1/groups/{found['group_id']}/renewals")
    group = WatchedGroup(found["group_id"], "G00001", "F001", renewals["items"][0]["renewal_id"])

    await api.get("identity", "/v1/account", by=staff)  # signs on, once

    told = await answered(api, staff, group, [*reads(group), *closed(group)])
    async with watching(api, staff, group) as watch:
        removed_at = time.monotonic()
        await wait_for(lambda: _noticed(watch, removed_at), "nobody noticed", api.patience_s)

    # Staff have no group of their own at identity; all else they see.
    assert len(told) == len(reads(group)) + len(closed(group)) - 1


async def _noticed(watch: Watch, removed_at: float) -> bool | None:
    found = {each.request.service for each in watch.sent_after(removed_at) if each.answered}
    return found == {"membership", "renewals"} or None
