"""One castle for all attacks of a module, and what each of them must leave as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attacks.castle import Castle, open_castle


@pytest.fixture(scope="module")
def standing_castle(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Castle]:
    """The module's gateway; ``CONFIG`` and ``ENVIRON`` in the module are laid over what it runs with."""
    parts, environ = (getattr(request.module, name, None) for name in ("CONFIG", "ENVIRON"))
    with open_castle(tmp_path_factory.mktemp("castle"), parts, environ) as castle:
        yield castle


@pytest.fixture
async def castle(standing_castle: Castle, request: pytest.FixtureRequest) -> AsyncIterator[Castle]:
    """The module's gateway, which after the attack is as it was before.

    ``@pytest.mark.unwell("mqtt")``: these components are not well afterwards, and say so;
    ``perhaps=("devices",)``: these may be so for a while, also after an attack before this one.
    """
    await standing_castle.ready()
    standing_castle.log_lines()
    yield standing_castle
    marker = request.node.get_closest_marker("unwell")
    await standing_castle.holds(*(marker.args if marker else ()), **(marker.kwargs if marker else {}))
