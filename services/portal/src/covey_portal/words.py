"""The words for what services say by names: rights, statuses, kinds. In English, to be translated where they are shown."""

from collections.abc import Iterable, Mapping

from covey_portal.languages import N_

RIGHTS: Mapping[str, str] = {
    "members.view": N_("See members"),
    "members.update": N_("Change members' information"),
    "members.enroll": N_("Enroll members"),
    "members.terminate": N_("End members' coverage"),
    "billing.view": N_("See bills"),
    "billing.pay": N_("Pay bills"),
    "renewals.view": N_("See renewals"),
    "renewals.change": N_("Change renewals"),
    "documents.view": N_("See documents"),
    "documents.sign": N_("Sign documents"),
    "group.update": N_("Change the group's information"),
    "access.manage": N_("Manage user access"),
}
"""In the order in which they are offered: each right to act after the right to view that it brings."""

AREAS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("members", N_("Members"), ("members.view", "members.update", "members.enroll", "members.terminate")),
    ("billing", N_("Billing"), ("billing.view", "billing.pay")),
    ("renewals", N_("Renewals"), ("renewals.view", "renewals.change")),
    ("documents", N_("Documents"), ("documents.view", "documents.sign")),
    ("group", N_("Group"), ("group.update",)),
)
"""What rights are about."""

USER_STATUSES: Mapping[str, str] = {
    "invited": N_("Invited"),
    "code expired": N_("Code expired"),
    "active": N_("Active"),
    "removed": N_("Removed"),
}
REQUEST_STATUSES: Mapping[str, str] = {
    "submitted": N_("Being checked"),
    "approved": N_("Approved"),
    "declined": N_("Declined"),
    "voided": N_("No longer needed"),
}
RENEWAL_STATUSES: Mapping[str, str] = {
    "upcoming": N_("Upcoming"),
    "available": N_("Available"),
    "in progress": N_("In progress"),
    "pending review": N_("Pending review"),
    "action required": N_("Action required"),
    "completed": N_("Completed"),
    "rolled over": N_("Rolled over"),
    "ended": N_("Ended"),
}
TRANSACTION_STATUSES: Mapping[str, str] = {
    "open": N_("Open"),
    "pending review": N_("Pending review"),
    "action required": N_("Action required"),
    "completed": N_("Completed"),
    "declined": N_("Declined"),
    "withdrawn": N_("Withdrawn"),
}
SORTED_BY: Mapping[str, str] = {
    "group": N_("Group"),
    "status": N_("Status"),
    "effective_date": N_("Day on which it begins"),
    "created": N_("Created"),
    "updated": N_("Updated"),
}
TRANSACTION_KINDS: Mapping[str, str] = {
    "quote": N_("Quote"),
    "enrollment": N_("Enrollment"),
    "renewal changes": N_("Renewal changes"),
}
ROUND_OUTCOMES: Mapping[str, str] = {
    "returned": N_("Returned"),
    "approved": N_("Approved"),
    "declined": N_("Declined"),
    "withdrawn": N_("Withdrawn"),
}
RELATIONSHIPS: Mapping[str, str] = {
    "spouse": N_("spouse"),
    "domestic partner": N_("domestic partner"),
    "child": N_("child"),
}
TERMINATION_REASONS: Mapping[str, str] = {
    "left employment": N_("left employment"),
    "waived": N_("waived"),
    "not eligible": N_("not eligible"),
    "died": N_("died"),
}

FIRM_RIGHTS: Mapping[str, str] = {
    "quotes.change": N_("work on quotes"),
    "enrollments.change": N_("work on enrollments"),
}
"""What members of a firm may do in it."""

AUTHORITIES: Mapping[str, str] = {
    "primary administrator": N_("Primary administrator"),
    "staff": N_("Our staff"),
    "grant": N_("Rights in the group"),
    "none": N_("No right"),
    "carrier": N_("Our staff"),
    "the carrier's book": N_("Our book of business"),
    "access code": N_("Access code"),
    "nobody": N_("Officer of the group"),
    "mailed token": N_("Link in an email"),
    "own account": N_("One's own account"),
    "passkey": N_("Passkey"),
    "password": N_("Password"),
    "password and second factor": N_("Password and second factor"),
    "program's secret": N_("A program's secret"),
    "recovery code": N_("Recovery code"),
}
"""By what somebody acted in a group, as the audit names it."""

OUTCOMES: Mapping[str, str] = {"done": N_("Done"), "refused": N_("Refused")}
ACTS: Mapping[str, str] = {
    "account.changed": N_("Account information changed"),
    "account.locked": N_("Account locked"),
    "account.registered": N_("Registered"),
    "account.unlocked": N_("Account unlocked"),
    "address.asked-for": N_("Another address asked for"),
    "address.chosen": N_("Main address chosen"),
    "address.dropped": N_("Address removed"),
    "address.proven": N_("Address verified"),
    "appointment.changed": N_("Broker of record changed"),
    "code.issued": N_("Access code sent"),
    "code.redeemed": N_("Access code entered"),
    "code.reissued": N_("Another access code sent"),
    "firm-grant.given": N_("Rights given to the broker's firm"),
    "firm-grant.removed": N_("Rights of the broker's firm taken away"),
    "firm.joined": N_("Joined the broker's firm"),
    "firm.left": N_("Left the broker's firm"),
    "identity.list_acts": N_("What was done in a group looked at"),
    "identity.list_entries": N_("Audit looked at"),
    "identity.list_requests": N_("Access requests looked at"),
    "identity.read_form": N_("Officer's form looked at"),
    "invitation.withdrawn": N_("Invitation withdrawn"),
    "listener.retired": N_("Service retired"),
    "membership.change_carrier_data": N_("Group's data changed by us"),
    "membership.change_own_data": N_("Group's data changed"),
    "membership.import_groups": N_("Groups imported"),
    "membership.read_group": N_("Group looked at"),
    "membership.read_import_errors": N_("Errors of an import looked at"),
    "membership.register": N_("Group registered"),
    "membership.watch_access": N_("Changes of access watched"),
    "notifications.resend": N_("Message sent again"),
    "notifications.watch_access": N_("Changes of access watched"),
    "passkey.added": N_("Passkey added"),
    "passkey.begun": N_("Passkey begun"),
    "passkey.removed": N_("Passkey removed"),
    "passkey.renamed": N_("Passkey renamed"),
    "passkeys.taken": N_("Passkeys taken away"),
    "password.asked-for": N_("New password asked for"),
    "password.changed": N_("Password changed"),
    "password.reset": N_("Password chosen anew"),
    "password.shown": N_("Password shown once more"),
    "person.excluded": N_("Person of the broker's firm removed"),
    "person.readmitted": N_("Person of the broker's firm let in again"),
    "program.created": N_("Program made"),
    "program.key-registered": N_("Program's key registered"),
    "program.key-removed": N_("Program's key removed"),
    "program.secret-replaced": N_("Program's secret replaced"),
    "program.signed-on": N_("Program signed on"),
    "recovery-code.used": N_("Recovery code used"),
    "recovery-codes.renewed": N_("Recovery codes made anew"),
    "renewals.list_renewals_of_group": N_("Renewals looked at"),
    "renewals.watch_access": N_("Changes of access watched"),
    "request.approved": N_("Request for access approved"),
    "request.declined": N_("Request for access declined"),
    "request.submitted": N_("Request for access"),
    "request.voided": N_("Request for access void"),
    "rights.changed": N_("Rights changed"),
    "second-factor.begun": N_("Second factor begun"),
    "second-factor.off": N_("Second factor turned off"),
    "second-factor.on": N_("Second factor turned on"),
    "second-factor.taken": N_("Second factor taken away"),
    "session.ended": N_("Signed off"),
    "sign-on": N_("Signed on"),
    "sign-on.passkey": N_("Signed on with a passkey"),
    "sign-on.second-factor": N_("Signed on with a second factor"),
    "staff.rights-given": N_("Staff rights given"),
    "staff.rights-removed": N_("Staff rights taken away"),
    "transactions.add": N_("Representative added"),
    "transactions.approve": N_("Changes approved"),
    "transactions.change": N_("Representative changed"),
    "transactions.claim": N_("Review begun"),
    "transactions.decide": N_("Decided by a program"),
    "transactions.decline": N_("Changes declined"),
    "transactions.delete_saved_search": N_("Search deleted"),
    "transactions.open_one": N_("Renewal changes begun"),
    "transactions.read_one": N_("Looked at who joins and leaves"),
    "transactions.read_plans": N_("Plans looked at"),
    "transactions.read_review": N_("Looked at who joins and leaves"),
    "transactions.release": N_("Review given back"),
    "transactions.return_it": N_("Changes returned"),
    "transactions.save": N_("Draft saved"),
    "transactions.save_new_search": N_("Search saved"),
    "transactions.submit": N_("Changes submitted"),
    "transactions.use_by_default": N_("Search made the default"),
    "transactions.use_no_default": N_("Search made the default no longer"),
    "transactions.watch_access": N_("Changes of access watched"),
    "transactions.withdraw": N_("Changes withdrawn"),
    "user-id.asked-for": N_("User ID asked for"),
    "user.added": N_("User added"),
    "user.removed": N_("User removed"),
}
"""What is done, as the audit names it."""
ELSE = N_("Something else")
"""What has no name here: what is only ever refused."""


def rights_in_short(rights: Iterable[str]) -> list[tuple[str, str]]:
    """By area, whether somebody may see or also act there: ``("Renewals", "View/update")``."""
    held = frozenset(rights)
    short = []
    for _, area, theirs in AREAS:
        found = held.intersection(theirs)
        if found:
            acts = any(not right.endswith(".view") for right in found)
            short.append((area, N_("View/update") if acts else N_("View")))
    return short
