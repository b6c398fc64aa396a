import asyncio
import os
import sys
import threading
import unicodedata

import pytest
from argon2 import extract_parameters
from covey_identity import passwords
from covey_identity.passwords import NICE, PasswordNotGood, Passwords, TooBusy, check_password, new_password

OWN = ("Ottoline", "Ng", "o.farrow")


@pytest.fixture
def quick() -> Passwords:
    return Passwords(memory_kib=64, passes=1, lanes=1, at_once=2)


@pytest.mark.parametrize(
    "password",
    [
        "seven quiet herons",
        "zq8!kfpw",
        "ñandú-ñandú",
        "𝔥𝔢𝔯𝔬𝔫𝔰 𝔞𝔱 𝔫𝔬𝔬𝔫",
        "wading through the shallows " * 4,
        "1029384756x!",
        "sing along, sing along",
    ],
)
def test_a_good_password_needs_no_particular_kinds_of_characters(password: str) -> None:
    check_password(password, OWN)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("zq8!kfp", "must have 8 to 128 characters"),
        ("x" * 129, "must have 8 to 128 characters"),
        ("e\u0301" * 7, "must have 8 to 128 characters"),
        ("password", "is one of the commonest passwords"),
        ("QwertyUIOP", "is one of the commonest passwords"),
        ("12345678", "is one of the commonest passwords"),
        ("P@ssw0rd", "is one of the commonest passwords"),
        ("my-ottoline-key", "must not have your name or your email address in it"),
        ("xx.O.FARROW.xx", "must not have your name or your email address in it"),
    ],
)
def test_a_password_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(PasswordNotGood) as refused:
        check_password(password, OWN)

    assert [(each.pointer, each.detail) for each in refused.value.errors] == [("/password", why)]


def test_the_list_has_what_everybody_knows_and_nothing_that_is_too_short_anyway() -> None:
    common = passwords._common()

    assert len(common) > 10_000
    assert {"iloveyou", "1q2w3e4r", "trustno1", "letmein1", "qwerty123", "11111111", "kinkysex"} <= common
    assert all(8 <= len(each) <= 128 and each == each.casefold() for each in common)


def test_a_password_that_is_made_is_a_good_one_and_another_each_time() -> None:
    made = {new_password() for _ in range(100)}

    assert len(made) == 100
    for each in made:
        check_password(each, ())


async def test_a_hash_is_verified_by_its_password_alone(quick: Passwords) -> None:
    stored = await quick.hash("seven quiet herons")

    assert await quick.verify(stored, "seven quiet herons")
    assert not await quick.verify(stored, "seven quiet heron")
    assert not await quick.verify("not a hash", "seven quiet herons")


async def test_two_hashes_of_one_password_are_not_alike(quick: Passwords) -> None:
    assert await quick.hash("seven quiet herons") != await quick.hash("seven quiet herons")


async def test_a_password_is_the_same_however_the_keyboard_composes_it(quick: Passwords) -> None:
    stored = await quick.hash(unicodedata.normalize("NFD", "ñandú-ñandú"))

    assert await quick.verify(stored, unicodedata.normalize("NFC", "ñandú-ñandú"))


async def test_where_there_is_no_password_the_work_is_the_same(quick: Passwords) -> None:
    """What nobody's hash is verified by has the parameters of a real one, and Argon2 can read it."""
    real = extract_parameters(await quick.hash("seven quiet herons"))

    assert extract_parameters(quick._nobodys) == real
    assert not await quick.verify(None, "seven quiet herons")
    assert quick._nobodys != Passwords(memory_kib=64, passes=1, lanes=1, at_once=2)._nobodys


async def test_a_hash_of_lower_parameters_is_outdated(quick: Passwords) -> None:
    stored = await quick.hash("seven quiet herons")

    assert not quick.is_outdated(stored)
    assert Passwords(memory_kib=64, passes=2, lanes=1, at_once=1).is_outdated(stored)
    assert Passwords(memory_kib=128, passes=1, lanes=1, at_once=1).is_outdated(stored)


async def test_when_too_many_wait_more_are_turned_away(quick: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)

    found = await asyncio.gather(*(quick.verify(None, "whatever it is") for _ in range(5)), return_exceptions=True)

    assert sorted(type(each).__name__ for each in found) == ["TooBusy", "TooBusy", "bool", "bool", "bool"]
    assert TooBusy.status == 503
    assert await quick.verify(None, "whatever it is") is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_threads_that_hash_stand_back_and_no_other_does(quick: Passwords) -> None:
    await quick.hash("quillfern-9-thistle")

    nice = {each.name: os.getpriority(os.PRIO_PROCESS, each.native_id) for each in threading.enumerate()}
    behind = min(19, nice["MainThread"] + NICE)
    assert {value for name, value in nice.items() if name.startswith("argon2")} == {behind}
