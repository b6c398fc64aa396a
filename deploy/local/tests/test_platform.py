"""The `covey` command on the whole platform, as a person uses it."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from covey_local import processes, topology
from covey_local.attach import Operator
from covey_local.book_import import BookImport, sample_book
from covey_local.cli import app
from covey_local.commands.book import SAMPLE_GROUPS
from covey_local.databases import connected, database_urls
from covey_local.home import Home
from covey_local.sign_on import SignOn, as_staff
from joserfc.jwk import OKPKey

from .conftest import CACHE, eventually, runs

# A busy machine of two cores takes its time for four Python services and a broker.
pytestmark = pytest.mark.timeout(300)

COVEY = Path(sys.executable).parent / "covey"


class Platform:
    """A run of `covey run`, with its own folder."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / ".covey")
        self.home.folder.mkdir()
        (self.home.folder / "cache").symlink_to(CACHE.resolve())
        self.said = folder / "said"
        with self.said.open("w") as said:
            self.process = subprocess.Popen([COVEY, "run", "--folder", self.home.folder], stdout=said, stderr=said)

    @property
    def run(self):
        return json.loads(self.home.run_file.read_text())


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def covey(platform, monkeypatch, capsys):
    """Carries out a command on the platform, in this process: Python and all libraries are there already."""
    monkeypatch.setenv("COVEY_FOLDER", str(platform.home.folder))

    def carry_out(*words: str) -> Done:
        with pytest.raises(SystemExit) as end:
            app(words)
        return Done(int(end.value.code or 0), *capsys.readouterr())

    return carry_out


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    platform = Platform(tmp_path_factory.mktemp("platform"))
    try:
        await eventually(lambda: "is up" in platform.said.read_text() or platform.process.poll() is not None)
        assert platform.process.poll() is None, platform.said.read_text()
        yield platform
    finally:
        platform.process.terminate()
        platform.process.wait(100)
        await platform.home.end()
        platform.home.delete()


def test_every_service_is_up_and_listed(platform, covey):
    names = [service.name for service in topology.SERVICES]

    assert platform.run.keys() == {
        *("services", "kafka", "kafka_passwords", "databases", "portal", "mail", "smtp", "pids", "operator_token"),
        "accounts",
    }
    assert list(platform.run["services"]) == list(platform.run["databases"]) == names
    for name, url in platform.run["services"].items():
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert f"  {name:<20} {url}" in platform.said.read_text()
        assert runs(platform.run["pids"][name])
    status = covey("status")
    assert status.code == 0
    assert all(url in status.out for url in platform.run["services"].values())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no other process's environment can be read")
def test_each_service_signs_on_to_kafka_as_itself_and_knows_no_other_password(platform):
    passwords = platform.run["kafka_passwords"]

    for name in platform.run["services"]:
        environment = Path(f"/proc/{platform.run['pids'][name]}/environ").read_text()
        own = passwords[f"covey-{name}"]
        assert f"COVEY_KAFKA_SASL_USERNAME=covey-{name}\0COVEY_KAFKA_SASL_PASSWORD={own}\0" in environment
        assert [user for user, password in passwords.items() if password in environment] == [f"covey-{name}"]


def test_the_staff_account_is_there_said_and_kept_for_its_owner(platform, covey):
    account = platform.run["accounts"]["staff"]
    said = f"Sign on as staff: user ID {account['user_id']}, password {account['password']}\n"

    assert said in platform.said.read_text()
    assert said in covey("status").out
    for file in (platform.home.run_file, platform.home.folder / "secrets.json"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert account["user_id"] in covey("staff", "list").out


def test_whoever_is_not_signed_on_gets_nothing_and_staff_get_the_book(platform):
    membership = platform.run["services"]["membership"]
    nobody = httpx.get(f"{membership}/v1/groups")
    staff = httpx.get(f"{membership}/v1/groups", auth=as_staff(platform.run))

    assert nobody.status_code == 401
    assert staff.json()["items"]


def test_staff_come_and_go_and_are_gone_everywhere_at_once(platform, covey, monkeypatch):
    # As against a platform of somebody else's: nothing but the two settings says where it is.
    monkeypatch.setenv("COVEY_FOLDER", "/nowhere")
    monkeypatch.setenv("COVEY_IDENTITY_URL", platform.run["services"]["identity"])
    monkeypatch.setenv("COVEY_OPERATOR_TOKEN", platform.run["operator_token"])
    person = ("--first-name", "Ada", "--last-name", "Oakes", "--email", "ada@carrier.example")
    made = covey("staff", "create", *person, "--right", "operations")
    user_id, password = re.findall(r"^(?:user ID|password) +(\S+)$", made.out, re.MULTILINE)
    ada = SignOn(platform.run["services"]["identity"], {"user_id": user_id, "password": password})
    groups = f"{platform.run['services']['membership']}/v1/groups"
    before = httpx.get(groups, auth=ada)
    again = covey("staff", "create", *person)
    removed = covey("staff", "remove", user_id.upper())
    after = httpx.get(groups, auth=ada)

    assert (made.code, before.json()["items"] != []) == (0, True)
    assert (again.code, user_id in again.out, "password  " in again.out) == (0, True, False)
    assert removed.out == "Ada Oakes has no staff right any more, in any service.\n"
    assert after.json()["items"] == []
    assert user_id not in covey("staff", "list").out
    assert covey("staff", "remove", user_id).err == f"Nobody of the staff is {user_id}.\n"


def test_a_program_is_made_with_its_right_and_its_key_and_loses_the_right(platform, covey, tmp_path):
    key = OKPKey.generate_key("Ed25519")
    (tmp_path / "reviewer.jwk").write_text(json.dumps(key.as_dict(private=True)))
    (tmp_path / "reviewer.public.jwk").write_text(json.dumps(key.as_dict(private=False)))
    program = ("program", "create", "Reviewing", "--right", "review.decide", "--key")
    private = covey(*program, str(tmp_path / "reviewer.jwk"))
    made = covey(*program, str(tmp_path / "reviewer.public.jwk"))
    account_id, key_id = re.findall(r"^(?:account|key) +(\S+)$", made.out, re.MULTILINE)
    keys = f"{platform.run['services']['identity']}/v1/programs/{account_id}/keys"
    (registered,) = httpx.get(keys, auth=as_staff(platform.run)).json()["items"]
    (member,) = [each for each in Operator.of(platform.run, "identity").staff() if each.account_id == account_id]
    listed = covey("staff", "list")
    removed = covey("staff", "remove", account_id)

    assert (private.code, private.err.endswith("give the public half alone.\n")) == (1, True)
    assert (registered["key_id"], registered["jwk"]) == (key_id, key.as_dict(private=False))
    assert (member.name, member.email, member.rights) == ("Reviewing", None, ["review.decide"])
    assert (listed.code, listed.out.count("\n") > 2) == (0, True)
    assert removed.out == "Reviewing has no staff right any more, in any service.\n"


def test_a_staff_right_that_does_not_exist_is_refused_in_one_sentence(platform, covey):
    person = ("--first-name", "Ada", "--last-name", "Oakes", "--email", "ada@carrier.example")
    refused = covey("staff", "create", *person, "--right", "everything")

    assert refused.code == 1
    assert refused.err.startswith("identity: /rights/0 ")
    assert refused.err.count("\n") == 1


def test_a_second_run_is_refused_in_one_sentence(platform, covey):
    second = covey("run")

    assert second.code == 1
    assert f"is already running, by process {platform.process.pid}." in second.err
    assert "Traceback" not in second.err


async def test_a_killed_service_is_started_again_said_and_listed_anew(platform):
    before = platform.run["pids"]["renewals"]
    processes.kill_group(before)
    await eventually(lambda: "renewals is back" in platform.said.read_text())

    assert "renewals was killed by signal 9; it is started again in 0.2 s." in platform.said.read_text()
    assert platform.run["pids"]["renewals"] != before
    assert httpx.get(f"{platform.run['services']['renewals']}/readyz").status_code == 200


def test_the_date_moves_for_all_services_and_never_back(platform, covey):
    moved = covey("date", "advance", "40")
    later = date.fromisoformat(moved.out.split()[1])
    set_on = covey("date", "set", str(later + timedelta(days=2)))
    back = covey("date", "set", str(later))

    assert [line.split()[1:3] for line in set_on.out.splitlines()] == [
        [str(later + timedelta(days=2)), "(42"] for _ in topology.SERVICES
    ]
    assert back.code == 1
    assert back.err.startswith("A date can't go back: that would be 40 days ahead of the real one")
    assert covey("date", "show").out == set_on.out


def test_topics_and_events_are_shown(platform, covey):
    assert "covey.group.registered.v1" in covey("topics", "list").out
    assert covey("topics", "apply").out.count("unchanged") == len(covey("topics", "list").out.splitlines()[1:])
    shown = covey("events", "tail", "--from-beginning", "--no-follow")
    assert shown.code == 0
    assert shown.out.count("covey.group.registered.v1 ") == SAMPLE_GROUPS


async def test_mail_and_dead_letters_are_shown(platform, covey):
    """The sample book is there and the date has moved: whoever is concerned is told by and by."""
    await eventually(lambda: "Renewal available: " in covey("mail", "list").out)
    await eventually(lambda: covey("dead-letters", "list").out == "Nothing waits.\n")
    unknown = covey("dead-letters", "show", "parked.x.y", "--service", "renewals")
    assert (unknown.code, unknown.err.startswith("renewals: ")) == (1, True)


async def test_the_audit_holds_and_what_was_touched_is_named(platform, covey):
    await eventually(lambda: "The newest anchor is of link" in covey("audit", "verify").out)
    assert covey("audit", "verify").code == 0

    url = database_urls(
        platform.run["databases"]["identity"], "identity", platform.home.secrets(("identity",)).databases["identity"]
    ).owner
    async with connected(url) as owner:
        await owner.execute(
            "UPDATE audit_entry SET authority = 'nobody' WHERE id = (SELECT entry_id FROM audit_link WHERE number = 2)"
        )

    broken = covey("audit", "verify")
    assert broken.code == 1
    assert "1 links hold" in broken.out
    assert "BROKEN: link 2 is not of what stands in entry" in broken.out


def test_an_import_is_followed_while_its_service_is_killed_and_started_again(platform):
    reports = BookImport(
        platform.run, sample_book(2_000, Operator.of(platform.run, "membership").today().today)
    ).reports()
    first = next(each for each in reports if each.rows_done)
    processes.kill_group(platform.run["pids"]["membership"])
    *_, last = reports

    assert first.rows_done < 2_000, "it was killed in the middle"
    assert (last.status, last.rows_done, last.refused) == ("done", 2_000, 0)


async def test_ctrl_c_ends_everything(platform):
    pids = platform.run["pids"]
    platform.process.send_signal(signal.SIGINT)
    await eventually(lambda: platform.process.poll() is not None)

    assert platform.process.returncode == 0
    assert not any(map(runs, pids.values()))
    assert "Everything has ended." in platform.said.read_text()


def test_what_needs_a_stack_says_that_none_is_up(covey):
    assert covey("stop").out == "Nothing was running.\n"
    assert covey("mail", "list").err.startswith("No stack is up in")
