"""``earshot backup``: everything that makes this house, in one file."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import click
import msgspec

from firmware_bridge.named_files import first_line
from gateway.backups import archive
from gateway.backups.errors import BackupError
from gateway.commands.options import Trouble, config_option, located_config, own_folder, read_config
from gateway.config import places
from gateway.contract.escaping import json_text, one_line

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Its first line is the passphrase with which the backup is sealed.",
)


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@passphrase_option
@click.option("--force", is_flag=True, help="Replace FILE, if there is one.")
@click.option("--json", "as_json", is_flag=True, help="What is in it as one JSON line.")
def command(
    file: Path, config_path: Path | None, passphrase_file: Path | None, *, force: bool, as_json: bool
) -> None:
    """Write everything that makes this house into FILE, while the gateway runs.

    That is config.yaml, and all that the gateway keeps: the journal with its history, tokens, keys, certificates, the
    register of devices, firmware. `earshot restore FILE` puts it back, also on another machine. What is in FILE lets
    everybody in who reads it: keep it as you keep the house's keys, or seal it with --passphrase-file.

    \b
    earshot backup /mnt/nas/house.backup
    earshot backup --force --passphrase-file /root/words /mnt/nas/house.backup    # every night, by cron
    """  # noqa: D301
    config = read_config(config_path)
    state = own_folder(config, config_path)
    journal = places.journal_file(config, config_path, os.environ)
    if not state.is_dir():
        raise Trouble(
            f"there is nothing to back up: {state} is no folder\nremedy: say --config, or run as who runs the gateway"
        )
    if file.absolute().resolve().is_relative_to(state.resolve()):
        raise Trouble(f"{file} would be a part of itself\nremedy: a folder outside of {state}")
    if file.exists() and not force:
        raise Trouble(f"{file} is there already\nremedy: another name, or --force")
    part = file.with_name(f"{file.name}.part")
    try:
        with os.fdopen(
            os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "wb"
        ) as target:
            manifest = archive.write(
                target, state, located_config(config_path), journal, version("earshot-gateway"),
                scratch=file.absolute().parent, passphrase=passphrase_of(passphrase_file),
                progress=_shown(quiet=as_json),
            )  # fmt: skip
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    except (BackupError, OSError) as error:
        part.unlink(missing_ok=True)
        raise Trouble(one_line_of(error)) from error
    if as_json:
        facts = {
            "file": str(file),
            "bytes": file.stat().st_size,
            "files": len(manifest.files),
            "version": manifest.version,
            "journal": manifest.journal,
        }
        click.echo(json_text(msgspec.json.encode(facts)))
        return
    size = file.stat().st_size
    click.echo(
        f"{file}: {len(manifest.files)} files, {size / 1e6:.1f} MB{', sealed' if passphrase_file else ''}"
    )


def passphrase_of(file: Path | None) -> bytes:
    """Raises Trouble."""
    if file is None:
        return b""
    try:
        passphrase = first_line(file)
    except (OSError, UnicodeError) as error:
        raise Trouble(f"the passphrase's file {file} cannot be read: {error}") from error
    if not passphrase:
        raise Trouble(f"the passphrase's file {file} is empty")
    return passphrase.encode()


def one_line_of(error: Exception) -> str:
    """As it is told: each of its lines for itself."""
    if isinstance(error, OSError):
        return one_line(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return "\n".join(map(one_line, str(error).splitlines()))


def _shown(*, quiet: bool) -> archive.Progress:
    def show(name: str, size: int) -> None:
        if not quiet and size > 10_000_000:
            click.echo(f"  {one_line(name)}, {size / 1e6:.0f} MB ...", err=True)

    return show
