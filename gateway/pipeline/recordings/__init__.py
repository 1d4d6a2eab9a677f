"""Whole recordings into text, behind the devices."""
