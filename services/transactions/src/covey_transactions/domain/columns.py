"""How values of the domain are kept in columns."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Dialect, Enum, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB


def by_value(kind: type[StrEnum]) -> Enum:
    """A column of text that holds the members' values; the database repeats them in a CHECK."""
    return Enum(kind, native_enum=False, values_callable=lambda members: [each.value for each in members])


class AsJson(TypeDecorator[BaseModel]):
    """A frozen model, kept as JSON: replaced as a whole, never changed in place."""

    impl = JSONB
    cache_ok = True

    def __init__(self, kind: type[BaseModel]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: BaseModel | None, dialect: Dialect) -> Any:
        return None if value is None else value.model_dump(mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> BaseModel | None:
        return None if value is None else self.kind.model_validate(value)
