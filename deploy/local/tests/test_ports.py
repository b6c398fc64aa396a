import socket

from covey_local import ports


def test_a_port_that_is_taken_is_replaced_by_a_free_one_and_that_is_remembered(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        first = ports.choose(tmp_path / "ports.json", {"kafka": taken, "mail": taken})
    again = ports.choose(tmp_path / "ports.json", {"kafka": taken, "mail": taken})

    assert taken not in first.values()
    assert first["kafka"] != first["mail"]
    assert again == first
