"""A connection that is gone, said alike by every Python: an OSError, for somebody who writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gone_is_os_error() -> Iterator[None]:
    """From 3.12 on, ``writelines`` to a closed transport looks for the loop that the transport no longer has."""
    try:
        yield
    except AttributeError as error:
        if error.obj is None and error.name == "_add_writer":
            raise ConnectionResetError("the connection is gone") from error
        raise
