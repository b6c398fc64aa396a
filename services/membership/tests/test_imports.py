"""A file of groups comes in over HTTP and is worked in the background."""

import asyncio
import json
from uuid import uuid4

import pytest
from covey_chassis.failpoints import Failpoint
from covey_chassis.testing import armed
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged, GroupRegistered, MembershipActRecorded
from covey_membership.app import service
from covey_membership.domain.group_file import CHUNK_ROWS, PLACES
from covey_membership.domain.profile import NewGroup
from covey_membership.use_cases.register_group import register_group
from covey_membership.use_cases.work_import import work_import
from pydantic import TypeAdapter
from sqlalchemy import text

(WORKER,) = service.workers


async def work_once(covey) -> bool:
    return await WORKER.run(covey.context)


async def count(covey, table: str) -> int:
    async with covey.transaction() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}"))


def outcome(report) -> dict[str, int]:
    return {name: report[name] for name in ("registered", "changed", "unchanged", "refused") if report[name]}


# --- good files ---


async def test_a_file_registers_its_groups(covey, bring_in, row, as_csv):
    report, errors = await bring_in(as_csv([row(number) for number in range(30)]))

    assert report["status"] == "done"
    assert (report["rows_total"], report["rows_done"], outcome(report)) == (30, 30, {"registered": 30})
    assert report["received_at"] <= report["started_at"] <= report["ended_at"]
    assert errors == []
    published = await covey.published()
    assert {each.event.group_number for each in published} == {f"{number:06d}" for number in range(30)}
    assert all(isinstance(each.event, GroupRegistered) and each.sequence == 1 for each in published)


async def test_what_an_import_causes_says_which_request_it_was(covey, send, row, as_csv):
    answer = await send(as_csv([row(1)]))
    await covey.work("imports")

    (published,) = await covey.published()
    assert published.correlation_id == answer.headers["x-correlation-id"]


async def test_a_row_says_all_that_a_group_has(covey, bring_in, row, as_csv):
    await bring_in(as_csv([row(7, billing_units="002=Yard|001=Head office")]))

    (listed,) = (await covey.api.get("/v1/groups", params={"group_number": "000007"})).json()["items"]
    group = (await covey.api.get(f"/v1/groups/{listed['group_id']}")).json()
    del group["group_id"]
    assert group == {
        "group_number": "000007",
        "legal_name": "Tamarisk & Thistle 7, Inc.",
        "ein": "98-7654321",
        "market_region": "California",
        "principal_address": {
            "street": "7 Example Avenue",
            "city": "Eureka",
            "state": "CA",
            "county": "Humboldt",
            "zip": "95501",
        },
        "contract_signer": {"name": "Ana Peña-Whitlock", "email": "ana7@tamarisk.example.org"},
        "billing_contact": {"name": "Ana Peña-Whitlock", "email": "billing7@tamarisk.example.org"},
        "billing_units": [{"code": "001", "name": "Head office"}, {"code": "002", "name": "Yard"}],
        "effective_date": "2022-01-01",
        "renewal_date": "2027-01-01",
        "plans": [{"plan_year": 2026, "plan_id": "GOLD-80"}, {"plan_year": 2026, "plan_id": "SILVER-70"}],
        "broker": {
            "firm_number": "F-204",
            "firm_name": "Alderquist Benefits",
            "acquired_date": "2024-06-17",
            "contact": {"name": "Teodora Lindqvist", "email": "teodora@alderquist.example.org"},
        },
    }


async def test_importing_the_same_file_again_changes_nothing_and_tells_nobody(covey, bring_in, row, as_csv):
    no_broker = dict.fromkeys(
        ["firm_number", "firm_name", "firm_contact_name", "firm_contact_email", "acquired_date"], ""
    )
    content = as_csv(
        [row(1), row(2, **no_broker), row(3, billing_units="B=b|A=a", plans="2027:Z|2026:A"), row(4, plans="")]
    )
    await bring_in(content)
    before = (await covey.published(), (await covey.api.get("/v1/groups")).json())

    report, _ = await bring_in(content)

    assert outcome(report) == {"unchanged": 4}
    assert (await covey.published(), (await covey.api.get("/v1/groups")).json()) == before


async def test_only_what_is_different_changes(covey, bring_in, row, as_csv):
    await bring_in(as_csv([row(1), row(2), row(3)]))

    report, _ = await bring_in(as_csv([row(1), row(2, renewal_date="2028-01-01"), row(4), row(3, billing_units="A=a")]))

    assert outcome(report) == {"registered": 1, "changed": 2, "unchanged": 1}
    changed = await covey.published(GroupChanged)
    assert {(each.event.group_number, each.sequence) for each in changed} == {("000002", 2), ("000003", 2)}


async def test_a_byte_order_mark_quoted_line_breaks_and_another_order_of_columns_are_fine(covey, bring_in, row, as_csv):
    content = as_csv([row(1, street='1 "Long"\r\nStreet, Suite 3'), row(2)], columns=reversed(PLACES))

    report, errors = await bring_in(b"\xef\xbb\xbf" + content)

    assert (outcome(report), errors) == ({"registered": 2}, [])


async def test_a_file_without_rows_is_done_at_once(covey, bring_in):
    template = await covey.api.get("/v1/imports/template.csv")

    report, errors = await bring_in(template.content)

    assert template.headers["content-type"] == "text/csv; charset=utf-8"
    assert template.text == ",".join(PLACES) + "\r\n"
    assert (report["status"], report["rows_total"], errors) == ("done", 0, [])


async def test_nothing_of_the_file_is_kept_when_it_is_done(covey, bring_in, row, as_csv):
    await bring_in(as_csv([row(1), row(2, ein="")]))

    assert await count(covey, "import_chunk") == await count(covey, "imported_number") == 0


# --- bad rows and bad files ---


async def test_a_bad_row_changes_nothing_and_is_told_by_line_and_column(covey, bring_in, row, as_csv):
    await bring_in(as_csv([row(1)]))

    report, errors = await bring_in(
        as_csv(
            [
                row(1, legal_name="Other\nName", ein="1", renewal_date="2021-12-31"),
                row(2),
                row(3, firm_name="", plans="2026"),
                row(4, billing_units=""),
            ]
        )
    )

    assert outcome(report) == {"registered": 1, "refused": 3}
    assert errors == [
        (2, "renewal_date", "must not be before the effective date"),
        (2, "ein", "must be an EIN such as 12-3456789"),
        (5, "plans", "entry 1: plan_id must not be blank"),
        (5, "firm_name", "must not be blank"),
        (6, "billing_units", "must name at least one billing unit"),
    ]
    (group,) = (await covey.api.get("/v1/groups", params={"group_number": "000001"})).json()["items"]
    assert group["legal_name"] == "Tamarisk & Thistle 1, Inc."
    assert len(await covey.published()) == 2


async def test_a_number_that_comes_twice_is_refused_the_second_time(covey, bring_in, row, as_csv):
    rows = [row(number) for number in range(CHUNK_ROWS + 10)]
    rows[3] = row(2, legal_name="The second")
    rows[CHUNK_ROWS + 3] = row(5, legal_name="In another chunk")
    rows[CHUNK_ROWS + 4] = row(6, ein="1") | {"group_number": " 000005 "}
    rows[10] = row(10, ein="bad")
    rows[11] = row(10, legal_name="After a bad one")

    report, errors = await bring_in(as_csv(rows))

    assert errors == [
        (5, "group_number", "is on line 4 already: a group has one row in a file"),
        (12, "ein", "must be an EIN such as 12-3456789"),
        (13, "group_number", "is on line 12 already: a group has one row in a file"),
        (CHUNK_ROWS + 5, "group_number", "is on line 7 already: a group has one row in a file"),
        (CHUNK_ROWS + 6, "group_number", "is on line 7 already: a group has one row in a file"),
        (CHUNK_ROWS + 6, "ein", "must be an EIN such as 12-3456789"),
    ]
    assert outcome(report) == {"registered": CHUNK_ROWS + 5, "refused": 5}
    names = {each.event.legal_name for each in await covey.published()}
    assert not names & {"The second", "In another chunk", "After a bad one"}


async def test_the_report_of_errors_repeats_no_value_and_starts_no_formula(covey, send, row, as_csv):
    marker = '=HYPERLINK("https://evil.example","Ssn 123-45-6789")'
    sent = await send(as_csv([dict.fromkeys(PLACES, f"{marker}{number}|{marker}") for number in range(3)]))
    await covey.work("imports")

    errors = (await covey.api.get(f"{sent.headers['Location']}/errors.csv")).text

    assert "evil" not in errors
    assert "123-45" not in errors
    cells = [cell for line in errors.splitlines() for cell in line.replace('"', "").split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    told = [each.event for each in await covey.published(MembershipActRecorded)]
    assert [each.act for each in told if isinstance(each, MembershipActRecorded)][-1] == "read_import_errors"


async def test_many_errors_come_as_one_file_in_the_order_of_their_lines(covey, bring_in, row, as_csv):
    how_many = 2 * CHUNK_ROWS + 50

    _, errors = await bring_in(as_csv([row(n, ein="", zip="", state="") for n in range(how_many)]))

    assert len(errors) == 3 * how_many > 1000
    assert [line for line, _, _ in errors] == [line for line in range(2, how_many + 2) for _ in range(3)]


async def test_a_file_that_cannot_be_read_is_refused_as_a_whole(covey, send, row, as_csv):
    good = as_csv([row(number) for number in range(CHUNK_ROWS + 50)])

    columns = await send(good.replace(b"ein,", b"eim,", 1))
    quote = await send(good + b'"not closed')
    bytes_ = await send(good + b"\xff\n")

    for answer, pointers in (
        (columns, ["column:ein", "column:eim"]),
        (quote, [f"line:{CHUNK_ROWS + 52}"]),
        (bytes_, [f"line:{CHUNK_ROWS + 52}"]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "file-not-readable")
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert await count(covey, "group_import") == await count(covey, "import_chunk") == 0


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "text/csv; charset=latin-1", ""])
async def test_anything_but_csv_is_refused(covey, send, row, as_csv, media_type):
    answer = await send(as_csv([row(1)]), media_type=media_type)

    assert answer.status_code == 415


async def test_a_file_in_utf_8_may_say_so(covey, send, row, as_csv):
    assert (await send(as_csv([row(1)]), media_type="Text/CSV; Charset=UTF-8")).status_code == 202


async def test_a_file_larger_than_50_mib_is_refused(covey, send):
    answer = await send(b"x" * (50 * (1 << 20) + 1))

    assert answer.status_code == 413


async def test_a_file_that_is_sent_twice_with_one_key_is_one_import(covey, send, row, as_csv):
    content, key = as_csv([row(1)]), uuid4().hex

    answers = [await send(content, key=key) for _ in range(2)]

    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert await count(covey, "group_import") == 1


async def test_a_file_without_a_key_is_refused(covey, row, as_csv):
    answer = await covey.api.post("/v1/imports", content=as_csv([row(1)]), headers={"Content-Type": "text/csv"})

    assert answer.status_code == 400


async def test_an_import_that_is_not_there_is_not_found(covey):
    for path in ("", "/errors.csv"):
        answer = await covey.api.get(f"/v1/imports/{uuid4()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "import-not-found")


async def test_imports_are_listed_the_latest_first(covey, send, row, as_csv):
    sent = [(await send(as_csv([row(number)]))).json()["id"] for number in range(3)]

    first = (await covey.api.get("/v1/imports", params={"limit": 2})).json()
    rest = (await covey.api.get("/v1/imports", params={"limit": 2, "after": first["next"]})).json()

    assert [each["id"] for each in first["items"] + rest["items"]] == sent[::-1]
    assert rest["next"] is None


# --- crashes and company ---


@pytest.fixture
def long_file(row, as_csv):
    return as_csv([row(number) for number in range(2 * CHUNK_ROWS + 50)])


async def assert_each_group_once(covey, how_many):
    published = await covey.published()
    assert sorted(each.event.group_number for each in published) == [f"{number:06d}" for number in range(how_many)]
    assert {each.sequence for each in published} == {1}
    assert await count(covey, "covered_group") == how_many


async def test_progress_is_told_while_an_import_is_running(covey, send, long_file):
    path = (await send(long_file)).headers["Location"]
    waiting = (await covey.api.get(path)).json()
    await work_once(covey)

    running = (await covey.api.get(path)).json()

    assert (waiting["status"], waiting["rows_done"], waiting["started_at"]) == ("waiting", 0, None)
    assert (running["status"], running["rows_done"], running["ended_at"]) == ("running", CHUNK_ROWS, None)
    assert running["rows_total"] == 2 * CHUNK_ROWS + 50


async def test_after_a_crash_an_import_goes_on_where_it_was(covey, send, long_file):
    path = (await send(long_file)).headers["Location"]
    await work_once(covey)
    for _ in range(2):
        with armed("import.before_commit:raise"), pytest.raises(Failpoint):
            await work_once(covey)
        assert (await covey.api.get(path)).json()["rows_done"] == CHUNK_ROWS

    await covey.work("imports")

    report = (await covey.api.get(path)).json()
    assert (report["status"], outcome(report)) == ("done", {"registered": 2 * CHUNK_ROWS + 50})
    await assert_each_group_once(covey, 2 * CHUNK_ROWS + 50)


async def test_several_workers_never_work_the_same_chunk(covey, send, long_file):
    path = (await send(long_file)).headers["Location"]

    async def worker():
        while (await covey.api.get(path)).json()["status"] != "done":
            await work_once(covey)

    await asyncio.gather(worker(), worker(), worker())

    assert outcome((await covey.api.get(path)).json()) == {"registered": 2 * CHUNK_ROWS + 50}
    await assert_each_group_once(covey, 2 * CHUNK_ROWS + 50)


async def test_a_worker_passes_when_another_is_at_the_oldest_import(covey, send, row, as_csv):
    await send(as_csv([row(1, legal_name="Older")]))
    await send(as_csv([row(1, legal_name="Newer")]))

    async with covey.transaction() as session:
        assert await work_import(session, at=covey.context.clock.now(), seal=covey.context.keyring.seal)
        assert not await work_once(covey)
    await covey.work("imports")

    (group,) = (await covey.api.get("/v1/groups")).json()["items"]
    assert group["legal_name"] == "Newer"
    assert [each.sequence for each in await covey.published()] == [1, 2]


async def someone_waits(covey) -> bool:
    async with covey.transaction() as session:
        return await session.scalar(text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"))


async def test_who_registers_a_number_that_a_file_is_registering_waits_and_is_refused(covey, send, row, as_csv, body):
    await send(as_csv([row(1)]))

    async with covey.transaction() as session:
        await work_import(session, at=covey.context.clock.now(), seal=covey.context.keyring.seal)
        registering = asyncio.create_task(
            covey.api.post("/v1/groups", json=body(group_number="000001"), headers={"Idempotency-Key": uuid4().hex})
        )
        await eventually(lambda: someone_waits(covey))

    assert (await registering).json()["code"] == "group-number-taken"
    assert await count(covey, "covered_group") == 1


async def test_a_file_waits_for_who_registers_its_number_and_then_changes_that_group(covey, send, row, as_csv, body):
    path = (await send(as_csv([row(1)]))).headers["Location"]
    new = TypeAdapter(NewGroup).validate_python(body(group_number="000001"))

    async with covey.transaction() as session:
        await register_group(session, new, seal=covey.context.keyring.seal)
        working = asyncio.create_task(work_once(covey))
        await eventually(lambda: someone_waits(covey))
    await working

    assert outcome((await covey.api.get(path)).json()) == {"changed": 1}
    assert [each.sequence for each in await covey.published()] == [1, 2]


async def test_an_edit_during_an_import_waits_and_finds_that_the_group_has_changed(covey, send, register, row, as_csv):
    group = (await register(group_number="000001")).json()
    await send(as_csv([row(1)]))

    async with covey.transaction() as session:
        await work_import(session, at=covey.context.clock.now(), seal=covey.context.keyring.seal)
        edit = asyncio.create_task(
            covey.api.patch(
                f"/v1/groups/{group['group_id']}",
                json={"ein": "11-1111111"},
                headers={"Idempotency-Key": uuid4().hex, "If-Match": '"1"'},
            )
        )
        await eventually(lambda: someone_waits(covey))

    assert (await edit).status_code == 412
    assert [each.sequence for each in await covey.published()] == [1, 2]


async def test_no_name_and_no_address_is_in_the_outbox_in_the_clear(covey, bring_in, row, as_csv):
    await bring_in(as_csv([row(number) for number in range(3)]))

    async with covey.transaction() as session:
        payloads = [json.loads(payload) for payload in await session.scalars(text("SELECT payload FROM outbox"))]
    assert len([each for each in payloads if "group_number" in each]) == 3
    for payload in payloads:
        payload.pop("sealed")
        assert "@" not in json.dumps(payload)
        assert "Whitlock" not in json.dumps(payload)
        assert "Lindqvist" not in json.dumps(payload)
