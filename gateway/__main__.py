"""``python -m gateway`` is ``earshot``."""

from gateway.commands.cli import main

main()
