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

_VERSION_2 = """
CREATE TABLE {schema}.shipped (
    gateway text NOT NULL, journal text NOT NULL, position bigint NOT NULL, PRIMARY KEY (gateway, journal));
CREATE TABLE {schema}.history (
    utterance_id text PRIMARY KEY, tie bigint NOT NULL, spoken bigint NOT NULL, correlation_id text NOT NULL,
    session_id text NOT NULL, conversation_id text NOT NULL, user_id text NOT NULL, device_id text NOT NULL,
    words text NOT NULL, replied boolean NOT NULL, goes_at double precision NOT NULL, gateway text NOT NULL,
    journal text NOT NULL, generation bigint NOT NULL, record bytea NOT NULL);
CREATE INDEX ON {schema}.history (spoken, tie);
CREATE INDEX ON {schema}.history (session_id);
CREATE INDEX ON {schema}.history (conversation_id);
CREATE INDEX ON {schema}.history (user_id, spoken);
CREATE INDEX ON {schema}.history (device_id, spoken);
CREATE INDEX ON {schema}.history (goes_at);
CREATE INDEX ON {schema}.history (gateway, journal, generation);
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2)
"""The n-th leads from version n to n + 1. Never change one that was released: add another."""

VERSION = len(MIGRATIONS)
