"""The ``covey`` command: every command on one screen."""

import sys

import typer

from covey_local.commands import accounts, auditing, book, broker, deploying, operating, stack
from covey_local.console import console
from covey_local.refused import Refused


class Command(typer.Typer):
    """A command whose refusals are a sentence and an exit code, not a traceback."""

    def __call__(self, *arguments: object, **options: object) -> object:
        try:
            return super().__call__(*arguments, **options)
        except (Refused, OSError) as why:
            console(stderr=True).print(str(why), markup=False)
            sys.exit(1)


app = Command(
    help="Covey on one machine: real Kafka, real PostgreSQL, every service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(stack.run)
app.command("stop")(stack.stop)
app.command("clean")(stack.clean)
app.command("status")(stack.status)
app.command("import")(book.import_book)
app.command("sample-book")(book.write_sample_book)
app.command("demo")(stack.demo)
app.command("keys")(deploying.make_keys)
app.add_typer(broker.topics, name="topics")
app.add_typer(broker.principals, name="principals")
app.add_typer(broker.events, name="events")
app.add_typer(operating.dead_letters, name="dead-letters")
app.add_typer(operating.days, name="date")
app.add_typer(operating.mail, name="mail")
app.add_typer(deploying.databases, name="databases")
app.add_typer(accounts.staff, name="staff")
app.add_typer(accounts.programs, name="program")
app.add_typer(auditing.audit, name="audit")


if __name__ == "__main__":
    app()
