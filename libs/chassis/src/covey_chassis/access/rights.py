"""What a person may do: rights in a group, rights in a firm, and rights that carrier staff have in all of it."""

from collections.abc import Iterable
from enum import StrEnum


class Right(StrEnum):
    """A right in a group. To act implies to view."""

    MEMBERS_VIEW = "members.view"
    MEMBERS_UPDATE = "members.update"
    MEMBERS_ENROLL = "members.enroll"
    MEMBERS_TERMINATE = "members.terminate"
    BILLING_VIEW = "billing.view"
    BILLING_PAY = "billing.pay"
    RENEWALS_VIEW = "renewals.view"
    RENEWALS_CHANGE = "renewals.change"
    DOCUMENTS_VIEW = "documents.view"
    DOCUMENTS_SIGN = "documents.sign"
    GROUP_UPDATE = "group.update"
    ACCESS_MANAGE = "access.manage"
    """To manage who has access: the primary administrator's alone, and never delegated."""


class FirmRight(StrEnum):
    """A right that members of a firm have in it."""

    QUOTES_CHANGE = "quotes.change"
    ENROLLMENTS_CHANGE = "enrollments.change"


class StaffRight(StrEnum):
    """A right of the carrier's staff, in all groups."""

    ACCESS_APPROVE = "access.approve"
    REVIEW_DECIDE = "review.decide"
    CATALOGUE_MANAGE = "catalogue.manage"
    MESSAGES_MANAGE = "messages.manage"
    OPERATIONS = "operations"


IMPLIED = {
    Right.MEMBERS_UPDATE: Right.MEMBERS_VIEW,
    Right.MEMBERS_ENROLL: Right.MEMBERS_VIEW,
    Right.MEMBERS_TERMINATE: Right.MEMBERS_VIEW,
    Right.BILLING_PAY: Right.BILLING_VIEW,
    Right.RENEWALS_CHANGE: Right.RENEWALS_VIEW,
    Right.DOCUMENTS_SIGN: Right.DOCUMENTS_VIEW,
}
DELEGABLE = frozenset(Right) - {Right.ACCESS_MANAGE}
"""What a primary administrator can give to others."""


def with_implied(rights: Iterable[Right]) -> frozenset[Right]:
    """The rights, and those that they imply."""
    given = frozenset(rights)
    return given | {IMPLIED[right] for right in given if right in IMPLIED}
