"""``python -m gateway`` is ``earshot``."""

from gateway.cli import main

main()
