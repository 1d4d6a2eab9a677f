"""The floor plan in docs/architecture.md, made from the code: ``python -m docs.plan``, or ``make plan``."""
