"""`earshot orchestrator`, and agents named on a command line."""
