"""What must hold over all services, and what no reviewer should have to say twice."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from covey_chassis.db import Base, make_engine
from covey_chassis.errors import Refusal
from covey_chassis.service import Service
from covey_chassis.testing import NewDatabase
from covey_contracts import EVENTS
from covey_local import topology
from sqlalchemy import Connection, MetaData

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("libs", "services")
    for path in (ROOT / folder).glob("*/src/**/*.py")
    if "covey_chassis/testing" not in path.as_posix()
)
SERVICES: list[Service] = [importlib.import_module(f"{service.package}.app").service for service in topology.SERVICES]
by_name = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every call as ``owner.name``, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else "?"
            yield node.lineno, f"{name}.{node.func.attr}"


def test_only_the_clock_reads_a_clock() -> None:
    """Sources and services take time from ``covey_chassis.clock``; monotonic time, for waiting, is anybody's."""
    wall = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.localtime"}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {call}"
        for path in SOURCES
        if path.name != "clock.py"
        for line, call in calls(ast.parse(path.read_text()))
        if call in wall
    ]
    assert found == []


def test_services_do_not_commit() -> None:
    """Whoever opens the transaction commits it: the edges in the chassis do."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if "services" in path.parts
        for line, call in calls(ast.parse(path.read_text()))
        if call == "session.commit"
    ]
    assert found == []


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("access_key('person'", {"applier.py", "checking.py"}),
        ("access_key('group'", {"applier.py", "checking.py"}),
        ("may_act=", {"running.py"}),
        ("MAY_ACT", {"checking.py", "db.py"}),
        ("transaction_timeout", {"facts.py"}),
    ],
)
def test_who_acts_for_an_account_does_so_in_a_transaction_of_the_request_role_and_by_its_time_out(
    words: str, where: set[str]
) -> None:
    """Nobody takes the locks of those who act, or lets a transaction act, but by what the chassis checks."""
    assert {path.name for path in SOURCES if words in path.read_text()} == where


@by_name
def test_what_a_service_listens_to_is_what_the_contracts_say(service: Service) -> None:
    heard = {topic for consumer in service.consumers for topic in consumer.topics}
    declared = {event.topic.name for event in EVENTS if service.name in event.topic.listeners}
    assert heard == declared


@by_name
def test_consumers_names_begin_with_their_services_so_that_its_rights_cover_them(service: Service) -> None:
    names = [consumer.name for consumer in service.consumers]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{service.name}.") for name in names)


def test_every_event_has_a_service_that_owns_it_or_is_a_command_of_programs() -> None:
    owners = {event.topic.owner for event in EVENTS if event.topic.owner != "programs"}
    assert owners <= {service.name for service in SERVICES}
    assert not any(event.topic.sequenced for event in EVENTS if event.topic.owner == "programs")


@by_name
def test_every_refusal_is_a_fact_with_a_sentence(service: Service) -> None:
    package = importlib.import_module(service.package)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def refusals(kind: type[Refusal]) -> Iterator[type[Refusal]]:
        for child in kind.__subclasses__():
            yield child
            yield from refusals(child)

    wordless = [kind.__name__ for kind in refusals(Refusal) if not (kind.__doc__ or "").strip().endswith((".", "…"))]
    assert wordless == []
    codes = [kind.code() for kind in refusals(Refusal) if kind.__module__.startswith(service.package)]
    assert len(codes) == len(set(codes))


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")  # SQLAlchemy's reflection knows no such type
@by_name
async def test_the_migrations_make_the_tables_that_the_classes_are_mapped_to(
    service: Service, new_database: NewDatabase
) -> None:
    def differences(connection: Connection) -> list[object]:
        mine = MetaData()
        for mapper in Base.registry.mappers:
            if mapper.class_.__module__.startswith(service.package):
                for table in mapper.tables:
                    table.to_metadata(mine)  # type: ignore[attr-defined]
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, mine)
        kinds = ("add_table", "add_column", "remove_column", "modify_nullable")
        # Tables that no class is mapped to are the chassis's, or are used by SQL alone.
        changes = [
            change for found_one in found for change in (found_one if isinstance(found_one, list) else [found_one])
        ]
        return [change for change in changes if change[0] in kinds]

    async with new_database(service.package) as urls:
        engine = make_engine(urls.owner)
        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
        await engine.dispose()

    assert found == []
