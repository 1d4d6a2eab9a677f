"""What speaks to a gateway from outside: for commands, the demo, and programs of others."""
