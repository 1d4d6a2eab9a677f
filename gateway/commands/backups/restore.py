"""``earshot restore``: a backup in the place of what there is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from gateway.backups.errors import BackupError
from gateway.backups.restoring import alone_with, restore
from gateway.commands.backups.backup import one_line_of, passphrase_of, passphrase_option
from gateway.commands.options import Trouble, config_option, located_config, own_folder, read_config
from gateway.config import places
from gateway.contract.escaping import one_line
from gateway.journal import JournalError


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@passphrase_option
@click.option("--force", is_flag=True, help="Put aside what there is. Nothing is deleted.")
@click.option("--keep-config", is_flag=True, help="Leave config.yaml as it is here.")
def command(
    file: Path, config_path: Path | None, passphrase_file: Path | None, *, force: bool, keep_config: bool
) -> None:
    """Put back what `earshot backup` has written into FILE.

    The gateway must not run. FILE is unpacked and looked at as a whole before anything changes; then it takes the place
    of what there is at once, which stays beside it, for you to delete. If it is interrupted, say it again.

    \b
    earshot restore /mnt/nas/house.backup
    earshot restore /mnt/nas/house.backup --config /etc/earshot/config.yaml --force
    """  # noqa: D301
    target = config_path or located_config(None)
    if config_path is not None and not config_path.exists():
        config_path = None  # it comes out of the backup
    config = read_config(config_path)
    state = own_folder(config, config_path)
    journal = places.journal_file(config, config_path, os.environ)
    try:
        with file.open("rb") as source, alone_with(state, journal):
            done = restore(
                source, state, None if keep_config else target, journal.name,
                passphrase=passphrase_of(passphrase_file), force=force, progress=lambda _name, _size: None,
            )  # fmt: skip
    except (BackupError, JournalError, OSError) as error:
        raise Trouble(one_line_of(error)) from error
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(done.manifest.made_at))
    click.echo(
        one_line(
            f"{state}: {len(done.manifest.files)} files of {made}, written by Earshot {done.manifest.version}"
        )
    )
    for before in (done.before, done.config_before):
        if before is not None:
            click.echo(one_line(f"what was there: {before}"))
    if not keep_config and target is None:
        click.echo(
            "its config.yaml was left out: none is configured here; say --config FILE to have it there"
        )
