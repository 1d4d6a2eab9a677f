"""gateway: owns sessions, messages and people. The only package that imports the other two."""

__version__ = "0.1.0"
