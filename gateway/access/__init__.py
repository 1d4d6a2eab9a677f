"""The locked door: who may talk to the gateway, how often, and what is written down about it."""
