"""A group is registered, changes, or stays as it is."""

from dataclasses import replace
from datetime import date
from itertools import count

import pytest
from covey_contracts.membership import GroupChanged, GroupContacts, GroupRegistered
from covey_membership.domain.group import Group
from covey_membership.domain.profile import Address, BillingUnit, Broker, Contact, NewGroup, Plan
from pydantic import TypeAdapter


class Seals:
    """Seals that never look alike, as real ones; keeps what it sealed."""

    def __init__(self):
        self.sealed = []
        self._numbers = count()

    def __call__(self, body):
        self.sealed.append(body)
        return f"eyJ{next(self._numbers)}.a.b.c.d"


@pytest.fixture
def new(body):
    return TypeAdapter(NewGroup).validate_python(body())


def test_registering_tells_all_that_is_public_and_seals_the_contacts(new):
    seals = Seals()

    group, registered = Group.register(new.group_number, new.profile, seal=seals)

    assert isinstance(registered, GroupRegistered)
    assert registered.group_id == group.group_id
    assert registered.model_dump(mode="json", exclude={"group_id", "sealed"}) == {
        "group_number": new.group_number,
        "legal_name": new.legal_name,
        "ein": "12-3456789",
        "market_region": "California",
        "principal_address": {
            "street": "2410 Example Street",
            "city": "Fresno",
            "county": "Fresno",
            "state": "CA",
            "zip": "93721",
        },
        "billing_units": [{"code": "001", "name": "Studio"}, {"code": "002", "name": "Warehouse"}],
        "effective_date": "2021-02-01",
        "renewal_date": "2027-02-01",
        "plans": [{"plan_year": 2026, "plan_id": "GOLD-80"}],
        "broker": {"firm_number": "F-204", "firm_name": "Alderquist Benefits", "acquired_date": "2024-06-17"},
    }
    (contacts,) = seals.sealed
    assert isinstance(contacts, GroupContacts)
    assert contacts.broker.email == "teodora@alderquist.example.org"
    assert "@" not in registered.model_dump_json()


def test_a_group_is_what_it_was_registered_as(new):
    group, _ = Group.register(new.group_number, new.profile, seal=Seals())

    assert group.profile == new.profile


def test_changing_to_the_same_changes_nothing_and_seals_nothing(new):
    seals = Seals()
    group, _ = Group.register(new.group_number, new.profile, seal=seals)

    assert group.change(new.profile, seal=seals) is None
    assert len(seals.sealed) == 1


@pytest.mark.parametrize(
    "different",
    [
        {"legal_name": "Quillfern Pottery LLC"},
        {"ein": "98-7654321"},
        {"market_region": "Oregon"},
        {"principal_address": Address("1 Other Street", "Fresno", "CA", "Fresno", "93721")},
        {"contract_signer": Contact("Marisol Abenayo", "other@example.org")},
        {"billing_contact": Contact("Somebody Else", "billing@quillfern.example.org")},
        {"broker": None},
        {"broker": Broker("F-1", "Other Firm", date(2026, 1, 1), Contact("Teo", "teo@example.org"))},
        {"effective_date": date(2021, 3, 1)},
        {"renewal_date": date(2027, 3, 1)},
        {"billing_units": (BillingUnit("001", "Studio"),)},
        {"billing_units": (BillingUnit("001", "Studio"), BillingUnit("002", "Depot"))},
        {"billing_units": (BillingUnit("001", "Studio"), BillingUnit("002", "Warehouse"), BillingUnit("003", "Shop"))},
        {"plans": ()},
        {"plans": (Plan(2026, "GOLD-80"), Plan(2027, "GOLD-80"))},
    ],
    ids=", ".join,
)
def test_whatever_is_different_is_told_once(new, different):
    group, _ = Group.register(new.group_number, new.profile, seal=Seals())
    wanted = replace(new.profile, **different)

    changed = group.change(wanted, seal=Seals())

    assert isinstance(changed, GroupChanged)
    assert group.profile == wanted
    assert group.change(wanted, seal=Seals()) is None


def test_a_contact_that_changes_is_told_though_nothing_public_is_different(new):
    group, registered = Group.register(new.group_number, new.profile, seal=Seals())

    changed = group.change(replace(new.profile, contract_signer=Contact("Ana", "ana@example.org")), seal=Seals())

    assert changed.model_dump(exclude={"sealed"}) == registered.model_dump(exclude={"sealed"})
