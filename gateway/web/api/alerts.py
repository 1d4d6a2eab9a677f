"""What is amiss: the alerts that are not over, and what gives way meanwhile."""

from __future__ import annotations

from http import HTTPStatus

from msgspec import Struct

from gateway.access.principals import Right
from gateway.alerting.alerts import Alert
from gateway.alerting.relief import WORDS
from gateway.web.api.operation import Call, Operation


class AlertList(Struct, frozen=True):
    """Urgent ones first. ``raised``: how many there were since the start. ``gives_way``: what does, in words."""

    alerts: tuple[Alert, ...]
    raised: int
    gives_way: str


async def list_alerts(call: Call[None, None, None]) -> AlertList:
    """All that are not over."""
    call.parts.running()  # a hub has none
    alerting = call.parts.alerting
    if alerting is None:
        return AlertList((), 0, "")
    return AlertList(tuple(alerting.alerts.current), alerting.alerts.raised, WORDS[alerting.relief])


OPERATIONS = (
    Operation(
        name="listAlerts", method="GET", path="/alerts", right=Right.GOVERN, run=list_alerts,
        summary="What is amiss, with what to do about it", answer=AlertList, problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)  # fmt: skip
