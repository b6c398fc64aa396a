"""The environment of the peers: what is compared with, and the profiler; no part of the project."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.stand import LOCAL

FOLDER = Path(__file__).parent
LOCK = FOLDER / "peers.lock"


async def run(script: str, *words: str, environment: Mapping[str, str]) -> Any:
    """What the script of this folder, run in the peers' environment, writes as its last line."""
    python = await program("python")
    return json.loads(
        (await _output(str(python), str(FOLDER / script), *words, environment=environment)).splitlines()[-1]
    )


async def program(name: str) -> Path:
    """A program of the environment, which is made when the lock has changed."""
    folder = LOCAL / f"peers-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv = str(Path(sys.executable).parent / "uv")
        await _output(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        await _output(uv, "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(LOCK))
        (folder / "ready").touch()
    return python.with_name(name)


async def _output(*words: str, environment: Mapping[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *words,
        env=os.environ | dict(environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{Path(words[0]).name} ended with {process.returncode}: {err.decode()[-2000:]}")
    return out.decode()
