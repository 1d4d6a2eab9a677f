"""Boards on a cable: found, flashed, told who they are."""
