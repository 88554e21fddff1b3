"""How a daemon that cannot start, or cannot go on, says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from floe.build import BuildError
from floe.deploy.config import ConfigError
from floe.deploy.record import RecordError
from floe.service.retry import PassingError
from floe.service.store import StoreError

log = logging.getLogger(__name__)


class StartError(Exception):
    """A daemon that cannot start, or cannot go on. A line for every problem."""


@contextmanager
def starting() -> Iterator[None]:
    """Turn whatever ends a daemon into StartError; a bug is in the log with its trace."""
    try:
        yield
    except (BuildError, ConfigError, PassingError, RecordError, StoreError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"cannot listen: {error.strerror}") from None
    except SQLAlchemyError as error:
        raise StartError(f"the store cannot be used: {' '.join(str(error).split())[:200]}") from None
    except Exception as error:
        log.critical("stopped by a bug", exc_info=True)
        raise StartError(f"stopped by a bug: {type(error).__name__}; the log has more") from None
