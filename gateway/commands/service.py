"""``earshot service``: the gateway under systemd."""

from __future__ import annotations

import click

from gateway.contract.escaping import in_lines
from gateway.systemd.installing import Host, ServiceError, fitted_unit, objections, plan


@click.group("service")
def command() -> None:
    """Run the gateway under systemd, sandboxed, restarted when it hangs, started with the machine."""


@command.command("install")
@click.option("--dry-run", is_flag=True, help="Only print what would be done, whole.")
def install(*, dry_run: bool) -> None:
    """Install and start the service; again after an update.

    Writes the unit and, where there is none, /etc/earshot/config.yaml; makes the user 'earshot'; enables and
    starts earshot.service. Files that you changed under /etc/earshot stay as they are.

    \b
    earshot service install --dry-run
    sudo /opt/earshot/bin/earshot service install
    journalctl -u earshot -f
    """  # noqa: D301
    host = Host.here()
    against = list(objections(host))
    for objection in against:
        click.echo(in_lines(f"{objection.reason}\n    remedy: {objection.remedy}"), err=True)
    if against and not dry_run:
        raise click.ClickException("nothing was changed")
    for step in plan(host):
        if dry_run:
            click.echo(f"would {step.describe()}", nl=False)
            continue
        click.echo(step.describe().splitlines()[0].removesuffix(":"))
        try:
            step.apply(host)
        except ServiceError as error:
            raise click.ClickException(str(error)) from error


@command.command("print")
def print_unit() -> None:
    """Print the unit as it would be installed on this machine."""
    click.echo(fitted_unit(Host.here()), nl=False)
