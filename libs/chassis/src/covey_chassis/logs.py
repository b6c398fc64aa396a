"""One JSON line to stdout for each thing that happened, whoever tells of it: structlog or the standard library."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor, WrappedLogger

from covey_chassis.redaction import redacted

_NOISY = {
    "uvicorn.access": logging.CRITICAL,  # the chassis has a line of its own, without the query
    "aiokafka.conn": logging.INFO,  # at DEBUG it would tell of passwords, and of every record's bytes
    "aiokafka.consumer.group_coordinator": logging.WARNING,
    "sqlalchemy.engine": logging.WARNING,  # at INFO it would tell of every statement
    "alembic": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    clean: EventDict = redacted(event)
    return clean


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
]


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Let all loggers of this process write redacted JSON lines; ``level`` is a name of the standard library's."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.split(".")[0] in ("uvicorn", "faststream", "aiokafka", "sqlalchemy", "alembic", "fastapi"):
            logger.handlers.clear()
            logger.propagate = True
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
