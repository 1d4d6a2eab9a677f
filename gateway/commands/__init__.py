"""The commands of ``earshot``: one module each, and a folder where there is more to it."""
