"""Fan-out: every event of the gateway to every listener that wants it."""
