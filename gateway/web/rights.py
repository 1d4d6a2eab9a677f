"""Which right each route asks for; those of the API say it in its table. A test walks all routes.

A route is a method and a path as it was given to the router. GET stands for HEAD too.
"""

from __future__ import annotations

from gateway.access.needed import Needed, Open
from gateway.access.principals import Right
from gateway.web.operations.table import OPERATIONS, PREFIX

ROUTES: dict[tuple[str, str], Needed] = {
    ("GET", "/"): Open.INTRODUCES,
    ("GET", "/static"): Open.EVERYBODY,
    ("GET", "/livez"): Open.EVERYBODY,
    ("GET", "/readyz"): Open.EVERYBODY,
    ("GET", "/recognition/audio/{secret}"): Open.EVERYBODY,  # each has a secret of its own, for a few times
    ("GET", "/metrics"): Right.MEASURE,
    ("GET", "/ws"): Open.INTRODUCES,
    ("GET", "/events"): Right.LISTEN,
    ("GET", "/device"): (Right.BE_DEVICE, Right.SPEAK),  # boards, and the microphones of pages
    ("GET", "/api/"): Open.EVERYBODY,
    ("GET", "/api"): Open.EVERYBODY,
    # OpenAI's audio interface (gateway/web/openai/), where it is switched on
    ("GET", "/v1/models"): Right.SPEAK,
    ("GET", "/v1/models/{model}"): Right.SPEAK,
    ("POST", "/v1/audio/transcriptions"): Right.SPEAK,
    ("POST", "/v1/audio/translations"): Right.SPEAK,
    ("GET", "/v1/realtime"): Right.SPEAK,
    **{(one.method, PREFIX + one.path): one.right for one in OPERATIONS},
}


def needed(method: str, path: str) -> Needed | None:
    """What the route asks for; None for one that nobody listed, which is closed."""
    return ROUTES.get(("GET" if method == "HEAD" else method, path))
