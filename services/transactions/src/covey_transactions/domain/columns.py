"""How values of the domain are kept in columns."""

from typing import Any

from pydantic import BaseModel
from sqlalchemy import Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB


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
