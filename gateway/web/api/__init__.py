"""The HTTP API, ``/api/v1``: its routes, its rights and its OpenAPI document are made from one table of operations."""
