"""Agents that are asked by name: what their teams decide is done here, durable first."""
