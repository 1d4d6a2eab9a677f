"""Agents in processes of their own: they may be heavy, block, crash or run out of memory, and the gateway goes on."""
