"""Passwords: what they must be like, and how they are kept (Argon2id).

A hash takes a good part of a second and much memory on purpose, so a process computes only a few at a time, in threads of
their own, and never while it holds a connection of the database: whoever hashes does it before the request's first
statement.
"""

import asyncio
import base64
import functools
import os
import runpy
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from covey_chassis.errors import FieldError, Invalid, Refusal

from covey_identity.settings import Settings

LENGTH_MIN, LENGTH_MAX = 8, 128
SECRET_MAX = 1024
"""Whatever is longer is read as no password at all: it is not hashed."""
OWN_WORD_MIN = 3
"""Shorter names are in too many words."""
WAITING_MAX = 100
"""So many hashes wait in one process; a client would not wait for more."""
SALT_BYTES, HASH_BYTES = 16, 32
NICE = 10
"""How far the threads that hash stand back (19 is the most). Many who sign on at once must not keep the feed of access,
or anybody's request, from its turn: services that hear nothing for two seconds answer nobody.
"""

Result = TypeVar("Result")


class PasswordNotGood(Invalid):
    """This password cannot be used: choose another one."""


class PasswordWrong(Invalid):
    """This is not your password."""


class TooBusy(Refusal):
    """Too many people are signing on at this moment: try again shortly."""

    status = 503
    headers = {"Retry-After": "2"}  # noqa: RUF012 - declared once, in Refusal


def check_password(password: str, own_words: Iterable[str], *, pointer: str = "/password") -> None:
    """Let a new password pass.

    Args:
        password: as it was typed.
        own_words: names and the like of whoever chooses it: others know them.
        pointer: where it stands in the request.

    Raises:
        PasswordNotGood: it is too short, too long, among the commonest, or has one of the own words in it.
    """
    plain = _composed(password)
    if not LENGTH_MIN <= len(plain) <= LENGTH_MAX:
        raise PasswordNotGood(FieldError(pointer, f"must have {LENGTH_MIN} to {LENGTH_MAX} characters"))
    folded = plain.casefold()
    if folded in _common():
        raise PasswordNotGood(FieldError(pointer, "is one of the commonest passwords"))
    known = (_composed(word).casefold() for word in own_words)
    if any(word in folded for word in known if len(word) >= OWN_WORD_MIN):
        raise PasswordNotGood(FieldError(pointer, "must not have your name or your email address in it"))


def new_password() -> str:
    """One that nobody could guess, for somebody who is told it."""
    return secrets.token_urlsafe(15)


class Passwords:
    """Hashes, and their verification, of one process."""

    def __init__(self, *, memory_kib: int, passes: int, lanes: int, at_once: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=lanes,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=Type.ID,
        )
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=_yield_to_others)
        self._waiting = 0
        # Looks like a hash, of today's parameters, but no password is known to have it.
        salt, nothing = (_base64(secrets.token_bytes(size)) for size in (SALT_BYTES, HASH_BYTES))
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${nothing}"

    async def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            TooBusy: too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(_composed(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; None, where there is none, takes the same time.

        Raises:
            TooBusy: too many wait already.
        """
        return await self._run(lambda: self._is(stored or self._nobodys, _composed(password)))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _is(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= WAITING_MAX:
            raise TooBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def passwords_of(settings: Settings) -> Passwords:
    """The one of this process."""
    return _passwords(
        settings.argon2_memory_kib, settings.argon2_passes, settings.argon2_lanes, settings.hashes_at_once
    )


@functools.cache
def _passwords(memory_kib: int, passes: int, lanes: int, at_once: int) -> Passwords:
    return Passwords(memory_kib=memory_kib, passes=passes, lanes=lanes, at_once=at_once)


def _yield_to_others() -> None:
    """Begin a thread that hashes. Only Linux has a priority for each thread; elsewhere it would be the whole process's."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)


@functools.cache
def _common() -> frozenset[str]:
    """The commonest of passwords that became public in breaches, and simple sequences, which that list leaves out."""
    sequences = (files("covey_identity") / "data" / "common_passwords.txt").read_text("utf-8").split()
    return frozenset(each for each in (*_breached(), *sequences) if len(each) >= LENGTH_MIN)


def _breached() -> list[str]:
    """The list that zxcvbn has, without the rest of it: to import its matcher takes 20 MB for good."""
    lists = runpy.run_path(str(distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")))["FREQUENCY_LISTS"]
    return list(lists["passwords"])


def _composed(text: str) -> str:
    """The same password, however a keyboard composes its characters."""
    return unicodedata.normalize("NFC", text)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()
