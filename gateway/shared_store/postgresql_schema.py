"""The tables in PostgreSQL, and the way from each version of them to the next. No I/O.

All of them lie in a schema of their own, so that a database may hold those of several houses, and other things. A
later version only ever adds: gateways of both work on the same tables while a house is renewed one by one.
"""

from __future__ import annotations

_VERSION_1 = """
CREATE TABLE {schema}.about (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO {schema}.about VALUES ('epoch', gen_random_uuid()::text), ('last', '0');
CREATE TABLE {schema}.entries (
    kind text NOT NULL, key text NOT NULL, version bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (kind, key));
CREATE INDEX ON {schema}.entries (kind, version);
CREATE UNLOGGED TABLE {schema}.spent (gateway text PRIMARY KEY, at timestamptz NOT NULL, body bytea NOT NULL);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)
"""The n-th leads from version n to n + 1. Never change one that was released: add another."""

VERSION = len(MIGRATIONS)
