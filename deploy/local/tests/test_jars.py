"""The broker's jars come over a network that breaks off, from a repository that may be away or serve something else."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from covey_local.kafka import genuine, jars
from covey_local.processes import StartFailed
from jgo.maven import MavenContext

JAR = b"the jar" * 5000
CHECKSUM = f"sha256:{hashlib.sha256(JAR).hexdigest()}"
COORDINATE = "org.example:thing:1.0"


@contextmanager
def repository(*answers: str, asked: list[str] | None = None) -> Iterator[dict[str, str]]:
    """A Maven repository whose first answers to who wants the jar are these; all later ones are as the last."""
    left = list(answers)
    asked = [] if asked is None else asked
    two = threading.Barrier(2)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.endswith(".jar"):
                self.send_error(404)
                return
            asked.append(self.path)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer == "slow":
                with suppress(threading.BrokenBarrierError):
                    two.wait(timeout=1)  # for another to ask meanwhile
                answer = "good"
            if answer == "hang up":
                self.connection.close()
                return
            if answer == "away":
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(JAR)))
            self.end_headers()
            self.wfile.write({"good": JAR, "cut off": JAR[:100], "another": bytes(len(JAR))}[answer])

        def log_message(self, *_: object) -> None:
            """Nothing: it is a test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield {"test": f"http://127.0.0.1:{server.server_port}"}
        finally:
            server.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("broken", ["hang up", "cut off", "another", "away"])
def test_what_broke_off_is_fetched_again_and_once_more(broken: str, tmp_path: Path) -> None:
    with repository(broken, broken, "good") as repositories:
        maven = MavenContext(repo_cache=tmp_path, remote_repos=repositories)
        path = genuine(maven, COORDINATE, CHECKSUM, pauses_s=[0, 0, 0])
    assert path.read_bytes() == JAR


@pytest.mark.parametrize(
    ("broken", "said"),
    [("hang up", "onnection"), ("away", "not found"), ("another", "not the file that kafka.lock names")],
)
def test_who_never_gets_it_is_told_which_and_why(broken: str, said: str, tmp_path: Path) -> None:
    with repository(broken) as repositories, pytest.raises(StartFailed) as why:
        genuine(MavenContext(repo_cache=tmp_path, remote_repos=repositories), COORDINATE, CHECKSUM, pauses_s=[0, 0, 0])
    assert COORDINATE in str(why.value)
    assert said in str(why.value)


def test_two_that_start_at_once_with_an_empty_cache_fetch_it_once(tmp_path: Path) -> None:
    asked: list[str] = []
    with repository("slow", asked=asked) as repositories, ThreadPoolExecutor(2) as both:
        starts = [
            both.submit(jars, tmp_path / "cache", lock=f"{COORDINATE} {CHECKSUM}\n", repositories=repositories)
            for _ in range(2)
        ]
        (one,), (other,) = (start.result() for start in starts)
    assert asked == ["/org/example/thing/1.0/thing-1.0.jar"]
    assert one == other
    assert one.read_bytes() == JAR
