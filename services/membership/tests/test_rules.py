"""The rules of a group's fields, one line each: what is refused with which sentence, and what is kept as what."""

import copy
from datetime import date
from typing import Any

import pytest
from covey_membership.domain.profile import NewGroup
from pydantic import TypeAdapter, ValidationError

GROUPS = TypeAdapter(NewGroup)


def units(how_many: int) -> list[dict[str, str]]:
    return [{"code": f"{number}", "name": "Site"} for number in range(how_many)]


def plans(how_many: int) -> list[dict[str, Any]]:
    return [{"plan_year": 2026, "plan_id": f"{number}"} for number in range(how_many)]


# fmt: off
# Drawn by hand: field, bad value, sentence.
REFUSED = [
    ("group_number",              "",                          "must not be blank"),
    ("group_number",              "  \t ",                     "must not be blank"),
    ("group_number",              "\u200b",                    "must not be blank"),
    ("group_number",              "7" * 51,                    "must have 50 characters at most"),
    ("group_number",              "7\x00",                     "must not have control characters"),
    ("group_number",              700118,                      "Input should be a valid string"),
    ("legal_name",                "",                          "must not be blank"),
    ("legal_name",                "x" * 201,                   "must have 200 characters at most"),
    ("legal_name",                "Acme\x1b[2J",               "must not have control characters"),
    ("legal_name",                "Acme\x85\x9f",              "must not have control characters"),
    ("ein",                       "",                          "must not be blank"),
    ("ein",                       "123456789",                 "must be an EIN such as 12-3456789"),
    ("ein",                       "12-345678",                 "must be an EIN such as 12-3456789"),
    ("ein",                       "12-34567890",               "must be an EIN such as 12-3456789"),
    ("ein",                       "12-34567٣9",                "must be an EIN such as 12-3456789"),
    ("ein",                       "123-45-6789",               "must be an EIN such as 12-3456789"),
    ("market_region",             "",                          "must not be blank"),
    ("market_region",             "Narnia",                    "must be a market region, such as California"),
    ("principal_address/street",  "",                          "must not be blank"),
    ("principal_address/street",  "x" * 201,                   "must have 200 characters at most"),
    ("principal_address/city",    "",                          "must not be blank"),
    ("principal_address/city",    "x" * 101,                   "must have 100 characters at most"),
    ("principal_address/county",  "",                          "must not be blank"),
    ("principal_address/county",  "Atlantis",                  "must be one of the 58 counties of California"),
    ("principal_address/county",  "Clark",                     "must be one of the 58 counties of California"),
    ("principal_address/county",  "x" * 101,                   "must have 100 characters at most"),
    ("principal_address/state",   "",                          "must not be blank"),
    ("principal_address/state",   "ZZ",                        "must be the two-letter code of a state, such as CA"),
    ("principal_address/state",   "California",                "must be the two-letter code of a state, such as CA"),
    ("principal_address/zip",     "",                          "must not be blank"),
    ("principal_address/zip",     "9372",                      "must be a ZIP code such as 93721 or 93721-0042"),
    ("principal_address/zip",     "937210042",                 "must be a ZIP code such as 93721 or 93721-0042"),
    ("principal_address/zip",     "93721-42",                  "must be a ZIP code such as 93721 or 93721-0042"),
    ("principal_address/zip",     "9372l",                     "must be a ZIP code such as 93721 or 93721-0042"),
    ("contract_signer/name",      "",                          "must not be blank"),
    ("contract_signer/name",      "x" * 201,                   "must have 200 characters at most"),
    ("contract_signer/email",     "",                          "must not be blank"),
    ("contract_signer/email",     "nobody at home",            "must be an email address such as name@example.org"),
    ("contract_signer/email",     "a@b",                       "must be an email address such as name@example.org"),
    ("contract_signer/email",     "a@b..org",                  "must be an email address such as name@example.org"),
    ("contract_signer/email",     "a@localhost",               "must be an email address such as name@example.org"),
    ("contract_signer/email",     "A <a@example.org>",         "must be an email address such as name@example.org"),
    ("contract_signer/email",     "a@x.org, b@x.org",          "must be an email address such as name@example.org"),
    ("contract_signer/email",     "a@x.org\nBcc: b@x.org",     "must be an email address such as name@example.org"),
    ("billing_contact/name",      "",                          "must not be blank"),
    ("billing_contact/email",     "@example.org",              "must be an email address such as name@example.org"),
    ("broker/firm_number",        "",                          "must not be blank"),
    ("broker/firm_number",        "x" * 51,                    "must have 50 characters at most"),
    ("broker/firm_name",          "",                          "must not be blank"),
    ("broker/firm_name",          "x" * 201,                   "must have 200 characters at most"),
    ("broker/acquired_date",      "",                          "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("broker/contact/name",       "",                          "must not be blank"),
    ("broker/contact/email",      "",                          "must not be blank"),
    ("effective_date",            "",                          "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "2026-02-30",                "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "02/01/2026",                "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "2026-2-1",                  "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "20260201",                  "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "2026-02-01T00:00:00",       "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            "1899-12-31",                "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("effective_date",            1770000000,                  "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("renewal_date",              "soon",                      "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("renewal_date",              "2200-01-01",                "must be a date between 1900 and 2199, written YYYY-MM-DD"),
    ("renewal_date",              "2021-01-31",                "must not be before the effective date"),
    ("billing_units",             [],                          "must name at least one billing unit"),
    ("billing_units",             units(101),                  "must name at most 100 billing units"),
    ("billing_units",             units(2) + units(1),         "must not name a billing unit twice"),
    ("billing_units/0/code",      "",                          "must not be blank"),
    ("billing_units/0/code",      "x" * 21,                    "must have 20 characters at most"),
    ("billing_units/1/name",      "",                          "must not be blank"),
    ("billing_units/1/name",      "x" * 201,                   "must have 200 characters at most"),
    ("plans",                     plans(201),                  "must name at most 200 plans"),
    ("plans",                     plans(1) + plans(1),         "must not name a plan twice in a plan year"),
    ("plans/0/plan_year",         "26",                        "must be a year between 1900 and 2199"),
    ("plans/0/plan_year",         26,                          "must be a year between 1900 and 2199"),
    ("plans/0/plan_year",         2026.5,                      "must be a year between 1900 and 2199"),
    ("plans/0/plan_year",         True,                        "must be a year between 1900 and 2199"),
    ("plans/0/plan_id",           "",                          "must not be blank"),
    ("plans/0/plan_id",           "x" * 51,                    "must have 50 characters at most"),
]

# Drawn by hand: field, what was given, what is kept.
KEPT = [
    ("group_number",              " 700118 ",                  "700118"),
    ("legal_name",                "Cafe\u0301 Nandu",          "Café Nandu"),
    ("legal_name",                " Two\r\nLines\tLtd ",       "Two Lines Ltd"),
    ("legal_name",                "=SUM Of Its Parts",         "=SUM Of Its Parts"),
    ("legal_name",                "شركة الميناء",              "شركة الميناء"),
    ("legal_name",                "x" * 200,                   "x" * 200),
    ("ein",                       " 00-1184207 ",              "00-1184207"),
    ("market_region",             "cALIFORNIA",                "California"),
    ("principal_address/county",  "los angeles",               "Los Angeles"),
    ("principal_address/county",  "Fresno County",             "Fresno"),
    ("principal_address/state",   "ca",                        "CA"),
    ("principal_address/zip",     "93721-0042",                "93721-0042"),
    ("contract_signer/email",     " Ana@EXAMPLE.org ",         "Ana@example.org"),
    ("contract_signer/email",     "ana@group1.example",        "ana@group1.example"),
    ("contract_signer/email",     "ana@пример.example.org",    "ana@пример.example.org"),
    ("effective_date",            " 2021-02-01 ",              date(2021, 2, 1)),
    ("renewal_date",              "2021-02-01",                date(2021, 2, 1)),
    ("plans/0/plan_year",         "2026",                      2026),
    ("plans",                     [],                          ()),
    ("broker",                    None,                        None),
]
# fmt: on


def with_value(document: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    inner: Any = document
    *way, last = [int(part) if part.isdigit() else part for part in field.split("/")]
    for part in way:
        inner = inner[part]
    inner[last] = value
    return document


@pytest.mark.parametrize(("field", "value", "sentence"), REFUSED)
def test_what_is_certainly_wrong_is_refused_with_its_sentence(body, field, value, sentence):
    with pytest.raises(ValidationError) as refusal:
        GROUPS.validate_python(with_value(body(), field, value))

    (error,) = refusal.value.errors()
    assert ("/".join(map(str, error["loc"])), error["msg"]) == (field, sentence)


@pytest.mark.parametrize(("field", "value", "kept"), KEPT)
def test_what_is_right_is_kept_in_one_form(body, field, value, kept):
    group = GROUPS.validate_python(with_value(body(), field, value))

    found: Any = group
    for part in field.split("/"):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    assert found == kept


def test_every_field_has_a_line_in_the_grid_of_what_is_refused(body):
    def leaves(value: Any, way: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        match value:
            case dict():
                return set().union(*(leaves(each, (*way, name)) for name, each in value.items()))
            case list():
                return leaves(value[0], way)
            case _:
                return {way}

    drawn = {tuple(part for part in field.split("/") if not part.isdigit()) for field, _, _ in REFUSED}

    assert leaves(body()) <= drawn


def test_a_county_of_another_state_is_taken_as_it_is_said(body):
    address = body()["principal_address"] | {"state": "NV", "county": "Clark"}

    assert GROUPS.validate_python(body(principal_address=address)).principal_address.county == "Clark"


def test_a_broker_is_known_as_a_whole_or_not_at_all(body):
    broker = body()["broker"]
    del broker["acquired_date"], broker["contact"]

    with pytest.raises(ValidationError) as refusal:
        GROUPS.validate_python(body(broker=broker))

    assert [error["loc"] for error in refusal.value.errors()] == [("broker", "acquired_date"), ("broker", "contact")]
