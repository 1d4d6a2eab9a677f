"""Agents that come ready-made: a kind each, made from its settings. What is not configured is not imported."""
