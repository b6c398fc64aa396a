"""A state machine is a table: verb -> {state before: state after}."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from covey_chassis.errors import Refusal

State = TypeVar("State", bound=StrEnum)


class IllegalMove(Refusal):
    """This cannot be done in the present state."""


class Lifecycle(Generic[State]):
    """The moves of one aggregate. ``LIFECYCLE.after("approve", status)`` is the next state, or IllegalMove."""

    def __init__(self, **moves: Mapping[State, State]) -> None:
        self.moves = moves

    def after(self, verb: str, state: State) -> State:
        if state not in self.moves[verb]:
            raise IllegalMove(verb=verb, state=state.value)
        return self.moves[verb][state]
