"""One broker each: what a topic, a key, a group and a confirmation are there."""
