"""What is made of a profiler's samples."""

from bench.profiles import profiles

SERVICE = 'process 7:"/x/bin/python -m covey_chassis serve covey_identity"'
LOOP = "run (/py/asyncio/runners.py);_run_once (/py/asyncio/base_events.py)"
ANSWER = "answer (/x/services/identity/src/covey_identity/feed.py)"
EXECUTE = "execute (/x/site-packages/sqlalchemy/engine/base.py)"


def test_each_process_has_the_shares_of_its_loops_work() -> None:
    parent = 'process 1:"/x/bin/python -m bench --no-keep access"'
    portal = 'process 8:"/x/bin/python -m covey_portal"'
    other = 'process 9:"/x/bin/python /x/bench/peer_outbox.py postgresql://somebody:secret@localhost"'
    found = profiles(
        [
            f"{parent};{SERVICE};{LOOP};{ANSWER};{EXECUTE};dumps (/py/json/__init__.py) 6",
            f"{parent};{SERVICE};{LOOP};{ANSWER};{ANSWER} 3",
            f"{parent};{SERVICE};{LOOP} 1",
            f"{parent};{SERVICE};_bootstrap (/py/threading.py);{ANSWER} 50",
            f"{parent};{portal};{LOOP} 1",
            f"{parent};{other};{LOOP};{EXECUTE} 1",
            f'{parent};process 10:"/x/bin/other";{LOOP} 1',
            f"{parent};{LOOP};hammer (/x/tests/resilience/platform.py) 5",
        ]
    )

    assert found.keys() == {"identity", "portal", "bench/peer_outbox", "another", "bench"}
    assert found["identity"].as_json() == {
        "samples": 10,
        "libraries": {"sqlalchemy": 0.6, "covey_identity": 0.3, "asyncio": 0.1},
        "functions": {"covey_identity/feed.answer": 0.9},
    }
    assert found["bench"].functions == {"tests/resilience/platform.hammer": 5}
