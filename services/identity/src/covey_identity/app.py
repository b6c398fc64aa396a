"""The identity service: what it is made of."""

from covey_chassis.service import Companion, Service, Worker

from covey_identity.acts import keep_act
from covey_identity.audit_chain import link_entries
from covey_identity.consumers import acts, groups
from covey_identity.http import (
    accounts,
    changes,
    codes,
    firms,
    forgotten,
    history,
    internal,
    own_access,
    own_account,
    passkeys,
    program_keys,
    programs,
    registrations,
    requests,
    second_factor,
    sessions,
    staff,
    users,
)
from covey_identity.progress import keep_acknowledging, keep_settling
from covey_identity.settings import Settings
from covey_identity.signals import listen
from covey_identity.use_cases.forget_expired import forget_expired

service = Service(
    name="identity",
    summary="Knows who is who and who may do what, and sees to it that a removal is true everywhere.",
    settings=Settings,
    routers=[
        registrations.router,
        forgotten.router,
        sessions.sessions,
        sessions.tokens,
        own_account.router,
        second_factor.router,
        passkeys.own,
        passkeys.sign_on,
        accounts.router,
        programs.router,
        program_keys.router,
        staff.router,
        requests.router,
        codes.router,
        users.router,
        own_access.router,
        changes.router,
        firms.firms,
        firms.of_group,
        history.groups,
        history.entries,
        internal.feed,
        internal.listeners,
    ],
    consumers=[groups, acts],
    workers=[Worker("forget-expired", forget_expired, every_s=60), Worker("audit-chain", link_entries)],
    acts=keep_act,
    companions=[
        Companion("access-signals", listen),
        Companion("access-barrier", keep_acknowledging),
        Companion("access-changes", keep_settling),
    ],
)
