"""The commands of ``earshot``: one module each, with its click command in ``command``."""
