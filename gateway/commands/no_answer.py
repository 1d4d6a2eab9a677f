"""How a command fails that asked a running gateway, and was told no, or nothing."""

from __future__ import annotations

import click

from gateway.client.questions import ApiError
from gateway.contract.escaping import one_line


class NoAnswer(click.ClickException):
    """The gateway is not there, or does not do that: exit status 1."""

    def __init__(self, error: ApiError) -> None:
        remedy = f"\nremedy: {one_line(error.remedy)}" if error.remedy else ""
        super().__init__(one_line(str(error)) + remedy)
