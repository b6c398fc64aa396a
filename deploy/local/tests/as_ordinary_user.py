"""Starts PostgreSQL twice as somebody who is not root, and says what came of it. Root becomes `nobody` for it."""

import asyncio
import concurrent.futures.thread  # noqa: F401 - Python's own library may lie where only root may look
import encodings.idna  # noqa: F401
import json
import os
import pwd
import sys
from pathlib import Path

import asyncpg
from covey_local import ports, processes
from covey_local.postgres import STOP_SIGNAL, Postgres

folder = Path(sys.argv[1])
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


async def main() -> dict[str, object]:
    server = Postgres(
        folder=folder / "postgres",
        port=ports.choose(folder / "ports.json", {"postgres": None})["postgres"],
        password="it's a \\ secret",
        log=folder / "postgres.log",
    )
    found: dict[str, object] = {"uid": os.geteuid()}
    for statement in ("CREATE TABLE kept AS SELECT 42 AS answer", "SELECT answer FROM kept"):
        process = await server.start()
        try:
            connection = await asyncpg.connect(server.admin_url)
            found["answer"] = await connection.fetchval(statement)
            found["fsync"] = await connection.fetchval("SHOW fsync")
            await connection.close()
        finally:
            await processes.stop(process, gently=STOP_SIGNAL)
    return found | {"mode": oct((folder / "postgres").stat().st_mode & 0o777)}


print(json.dumps(asyncio.run(main())))
