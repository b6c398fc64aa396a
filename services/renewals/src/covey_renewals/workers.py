"""The sweep: all that is due and not yet done, never "today's". So it does not matter when it runs, or how often."""

from covey_chassis.envelope import Cause, caused_by
from covey_chassis.failpoints import failpoint
from covey_chassis.ids import new_id
from covey_chassis.service import Context, Worker

from covey_renewals.use_cases.become_available import become_available
from covey_renewals.use_cases.pass_day import pass_day

PAGE = 100
"""How many renewals one transaction moves: memory and locks stay small, and requests to the same process hardly wait."""


async def sweep(context: Context) -> bool:
    """A page of what is to become available; when that is less than a page, a page of those whose day has come.

    Each page is a transaction of its own. True when one was full: there may be more.
    """
    for step in (become_available, pass_day):
        with caused_by(Cause(correlation_id=str(new_id()))):
            async with context.workers.transaction() as session:
                moved = await step(session, await context.clock.today(session), page=PAGE)
                await failpoint("sweep.before_commit")
        if moved == PAGE:
            return True
    return False


sweeping = Worker("sweep", sweep, every_s=0.5)
