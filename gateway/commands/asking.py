"""A running gateway that a command asks, and how the command fails when it is told no, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from gateway.client.credentials import BadCertificates, Introduction
from gateway.client.questions import SECONDS, Api, ApiError
from gateway.commands.options import own_page
from gateway.contract.escaping import one_line


class NoAnswer(click.ClickException):
    """The gateway is not there, or does not do that: exit status 1."""

    def __init__(self, error: ApiError) -> None:
        remedy = f"\nremedy: {one_line(error.remedy)}" if error.remedy else ""
        super().__init__(one_line(str(error)) + remedy)


class AskedGateway:
    """The gateway that is meant: found when it is asked first, for much is done without it."""

    def __init__(self, config_path: Path | None, url: str, token: str, ca_file: str) -> None:
        """``url``: its page; empty: that of the configuration, on this machine."""
        self.config_path = config_path
        self.url = url
        self._token = token
        self._ca_file = ca_file

    def ask(
        self, path: str, *names: str, method: str = "GET", body: Any = None, seconds: float = SECONDS
    ) -> Any:
        """As :meth:`Api.ask`. Raises NoAnswer, BadParameter, and what own_page raises."""
        try:
            return self._api.ask(path, *names, method=method, body=body, seconds=seconds)
        except ApiError as error:
            raise NoAnswer(error) from error

    def upload(self, path: str, data: bytes) -> Any:
        """As ``ask``, with the bytes of a file."""
        try:
            return self._api.upload(path, data)
        except ApiError as error:
            raise NoAnswer(error) from error

    def download(self, path: str, *names: str) -> Iterator[bytes]:
        """As :meth:`Api.download`. Raises NoAnswer."""
        try:
            yield from self._api.download(path, *names)
        except ApiError as error:
            raise NoAnswer(error) from error

    @cached_property
    def _api(self) -> Api:
        url, ca_file = self.url, self._ca_file
        if not url:
            url, own_certificate = own_page(self.config_path)
            ca_file = ca_file or own_certificate
        try:
            return Api(url, Introduction(self._token, ca_file))
        except BadCertificates as error:
            raise click.BadParameter(one_line(str(error)), param_hint="--ca-file") from error
        except ValueError as error:
            raise click.BadParameter(one_line(str(error)), param_hint="--url") from error
