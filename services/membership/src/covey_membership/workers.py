"""Imports go on in the background: a chunk is a transaction, and any number of instances may try."""

from covey_chassis.failpoints import failpoint
from covey_chassis.service import Context, Worker

from covey_membership.use_cases.work_import import work_import


async def work(context: Context) -> bool:
    """A chunk of the oldest import, in a transaction of its own."""
    async with context.workers.transaction() as session:
        worked = await work_import(session, at=context.clock.now(), seal=context.keyring.seal)
        await failpoint("import.before_commit")
    return worked


importing = Worker("imports", work, every_s=0.5)
