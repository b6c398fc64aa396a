"""What is made of a profiler's samples."""

from bench.profiles import profiles

SERVICE = 'process 7:"/x/bin/python -m covey_chassis serve covey_identity"'
LOOP = "serve (/x/site-packages/uvicorn/server.py);_run_once (/py/asyncio/base_events.py);_run (/py/asyncio/events.py)"
ANSWER = "answer (/x/services/identity/src/covey_identity/feed.py)"
EXECUTE = "execute (/x/site-packages/sqlalchemy/engine/base.py)"


def test_each_process_has_the_shares_of_its_loops_work() -> None:
    parent = 'process 1:"/x/bin/python -m bench --no-keep access"'
    portal = 'process 8:"/x/bin/python -m covey_portal"'
    other = 'process 9:"/x/bin/python /x/bench/peer_outbox.py postgresql://somebody:secret@localhost"'
    found = profiles(
        [
            f"{parent};{SERVICE};{LOOP};{ANSWER};{EXECUTE};dumps (/py/json/__init__.py) 5",
            f"{parent};{SERVICE};{EXECUTE};loads (/py/json/__init__.py) 1",
            f"{parent};{SERVICE};{LOOP};{ANSWER};{ANSWER} 3",
            f"{parent};{SERVICE};{LOOP} 1",
            f"{parent};{SERVICE};_bootstrap (/py/threading.py);{ANSWER} 50",
            f"{parent};{SERVICE};_find_and_load (<frozen importlib._bootstrap>);{EXECUTE} 50",
            f"{parent};{portal};{LOOP} 1",
            f"{parent};{other};{LOOP};{EXECUTE} 1",
            f'{parent};process 10:"/x/bin/other";{LOOP} 1',
            f"{parent};{LOOP};hammer (/x/tests/resilience/platform.py) 3",
            f'process 1:"";{LOOP};hammer (/x/tests/resilience/platform.py) 2',
        ]
    )

    assert found.keys() == {"identity", "portal", "bench/peer_outbox", "another", "bench"}
    assert found["identity"].as_json() == {
        "samples": 10,
        "libraries": {"sqlalchemy": 0.6, "covey_identity": 0.3, "asyncio": 0.1},
        "functions": {"covey_identity/feed.answer": 0.8},
    }
    assert found["bench"].functions == {"tests/resilience/platform.hammer": 5}
