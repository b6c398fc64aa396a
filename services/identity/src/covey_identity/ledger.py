"""The one row that orders all changes of access, and the log of them. Each act is an entry of the audit, too.

Whoever changes a fact locks the ledger *first* and reads what the decision rests on in statements after it, so that the
order of revisions is the order of decisions: two who decide at once on what the other is changing wait for each other
here. Slow work, such as Argon2, is done before.
"""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from covey_chassis.access.facts import Fact, FactKind, keep_facts
from covey_chassis.envelope import current_cause
from covey_chassis.failpoints import failpoint
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.signals import CHANNEL, Signal, tell


class Ledger:
    """The locked ledger, until the transaction ends."""

    def __init__(self, session: AsyncSession, rev: int) -> None:
        self._session = session
        self.rev = rev

    async def record(
        self,
        act: str,
        author: Author,
        facts: Sequence[Fact],
        *,
        about: UUID | None = None,
        details: Mapping[str, str | int] | None = None,
    ) -> int:
        """Write facts down, each with a revision of its own, and who changed them; the last revision.

        Args:
            act: what was done. It is an entry of the audit, also where no fact is another by it.
            author: who did it.
            facts: as they are from now on.
            about: whose account it is about, if the facts do not tell.
            details: what else its entry says.
        """
        cause = current_cause()
        told = [fact.model_copy(update={"rev": self.rev + number}) for number, fact in enumerate(facts, start=1)]
        await audit(self._session, _entry(act, author, told, about, details or {}))
        if not told:
            return self.rev
        rows = [
            {
                "rev": fact.rev,
                "id": uuid4(),
                "act": act,
                "authority": author.authority,
                "account_id": author.account_id,
                "session_id": author.session_id,
                "correlation_id": cause.correlation_id if cause else None,
                "fact": json.dumps(fact.model_dump(mode="json", exclude={"rev"})),
            }
            for fact in told
        ]
        await self._session.execute(_LOG, rows)
        await self._session.execute(_ADVANCE, {"rev": told[-1].rev, "id": rows[-1]["id"]})
        await keep_facts(self._session, told)
        if giving := [fact for fact in told if fact.active != (fact.kind is FactKind.EXCLUSION)]:
            superseded = await self._session.execute(
                _SUPERSEDE,
                {
                    "groups": [fact.group_id for fact in giving if fact.group_id],
                    "accounts": [fact.account_id for fact in giving if fact.account_id],
                    "served": [fact.group_id for fact in giving if fact.group_id and fact.firm_id],
                    "firms": [fact.firm_id for fact in giving if fact.group_id and fact.firm_id],
                },
            )
            if superseded.all():
                await tell(self._session, Signal.DONE)
        self.rev = told[-1].rev
        await failpoint("ledger.recorded")
        return self.rev


def _entry(
    act: str, author: Author, told: Sequence[Fact], about: UUID | None, details: Mapping[str, str | int]
) -> Entry:
    return Entry(
        act=act,
        author=author,
        subjects={fact.account_id for fact in told if fact.account_id} | ({about} if about else set()),
        groups={fact.group_id for fact in told if fact.group_id},
        revs=(told[0].rev, told[-1].rev) if told else None,
        details=details,
    )


async def lock_ledger(session: AsyncSession) -> Ledger:
    """Lock the ledger. Nothing that the decision rests on may have been read before."""
    await failpoint("ledger.before_lock")
    rev = (await session.execute(_LOCK)).scalar_one()
    await failpoint("ledger.locked")
    return Ledger(session, rev)


_LOCK = text("SELECT rev FROM access_ledger FOR UPDATE")
_LOG = text(
    """
    INSERT INTO access_log (rev, id, act, authority, account_id, session_id, correlation_id, fact)
    VALUES (:rev, :id, :act, :authority, :account_id, :session_id, :correlation_id, CAST(:fact AS jsonb))
    """
)
_SUPERSEDE = text(
    """
    UPDATE access_change SET superseded_at = clock_timestamp()
     WHERE kind = 'removed' AND superseded_at IS NULL
       AND (
           (group_id = ANY(CAST(:groups AS uuid[])) OR account_id = ANY(CAST(:accounts AS uuid[])))
           AND EXISTS (
               SELECT FROM access_held
                WHERE access_held.account_id = access_change.account_id AND access_held.group_id = access_change.group_id
           )
           OR account_id IS NULL AND (group_id, firm_id) IN (
               SELECT * FROM unnest(CAST(:served AS uuid[]), CAST(:firms AS uuid[]))
           )
       )
    RETURNING 1
    """
)
_ADVANCE = text(
    f"""
    WITH ledger AS (UPDATE access_ledger SET rev = :rev, id = :id)
    UPDATE access_applier SET seen_rev = :rev, seen_id = :id RETURNING pg_notify('{CHANNEL}', '{Signal.NEWS}')
    """  # noqa: S608 - names of ours
)
