"""What a client wrote down survives its death, and nothing that it did not write down is taken for known."""

import asyncio

from .history import History, Op, read_histories

SENT = Op(id="one", client="c", kind="group.change", service="membership", subject="a-group", invoked_at=1.0)


def done(op: Op, **more: object) -> Op:
    return Op(**{name: getattr(op, name) for name in Op.__slots__} | {"outcome": "ok", "finished_at": 2.0} | more)


async def test_an_operation_is_found_as_it_ended(tmp_path):
    ended = done(SENT, status=200, attempts=2, committed=frozenset({"a", "b"}), shows=True, said="acknowledged")
    with History(tmp_path / "a.jsonl") as history:
        await history.note(SENT)
        await history.note(ended)

    assert read_histories([tmp_path / "a.jsonl"]) == [ended]


async def test_an_operation_without_a_result_is_unknown(tmp_path):
    with History(tmp_path / "a.jsonl") as history:
        await history.note(SENT)

    (found,) = read_histories([tmp_path / "a.jsonl"])
    assert (found.outcome, found.status, found.finished_at) == ("unknown", None, None)


async def test_a_line_that_the_client_died_in_counts_as_not_written(tmp_path):
    file = tmp_path / "a.jsonl"
    with History(file) as history:
        await history.note(SENT)
        await history.note(done(SENT, status=200))
    for length in range(len(file.read_bytes().split(b"\n")[0]) + 1, file.stat().st_size):
        (tmp_path / "cut.jsonl").write_bytes(file.read_bytes()[:length])

        (found,) = read_histories([tmp_path / "cut.jsonl"])
        assert found.outcome == "unknown", length


async def test_what_is_noted_at_once_is_on_the_disk_when_each_note_returns(tmp_path):
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    with History(files[0]) as one, History(files[1]) as other:

        async def note(history: History, file, number: int) -> bool:
            await history.note(done(SENT, id=f"{file.name} {number}", invoked_at=float(number)))
            return f'"{file.name} {number}"' in file.read_text()

        written = await asyncio.gather(
            *(
                note(history, file, number)
                for number in range(50)
                for history, file in zip((one, other), files, strict=True)
            )
        )

    assert all(written)
    found = read_histories(files)
    assert len(found) == 100
    assert [op.invoked_at for op in found] == sorted(op.invoked_at for op in found)
