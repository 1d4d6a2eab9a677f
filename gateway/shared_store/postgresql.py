"""PostgreSQL as the shared store, through asyncpg, which only this file knows.

No statement is prepared under a name, so that PgBouncer may stand between. What changes entries does so alone
(an advisory lock of the transaction), so that their numbers grow in the order in which they are seen.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from gateway.journal.history import Selection
from gateway.journal.of_house import PageKey
from gateway.shared_store import postgresql_history as history
from gateway.shared_store.place import StorePlace
from gateway.shared_store.port import (
    ERASED,
    MOST_ENTRIES,
    Entry,
    Erasure,
    FoundPage,
    FoundRow,
    Join,
    Pulse,
    Shipment,
    StoreError,
    StoreFacts,
    StoreRefused,
    StoreUnavailable,
)
from gateway.shared_store.postgresql_schema import MIGRATIONS, VERSION

OLDEST = 13
"""Before it, PostgreSQL makes no random ids without an extension."""
STATEMENT_SECONDS = 5.0
LATELY = "interval '1 minute'"
"""What was spent longer ago concerns nobody."""

NOBODY = "see who is there, or correct house.store"
_SSL_REQUEST = (8).to_bytes(4, "big") + (80_877_103).to_bytes(4, "big")
"""Asks whether it would speak TLS: S or N (PostgreSQL's documentation, message formats)."""


async def connect(place: StorePlace, *, only_look: bool = False) -> PostgresqlStore:
    """Log in, and bring the tables to this version. Raises StoreUnavailable, StoreRefused."""
    store = PostgresqlStore(place)
    try:
        await (store.facts() if only_look else store.begin())
    except BaseException:
        await store.close()
        raise
    return store


class _Line:
    """One connection, which one after the other uses."""

    def __init__(self) -> None:
        self.db: Any = None
        self.turn = asyncio.Lock()


class PostgresqlStore:
    """``SharedStore``. Also whoever is cancelled in a transaction leaves it undone."""

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._schema = f'"{place.name}"'
        self._lock_key = zlib.crc32(f"earshot {place.name}".encode())
        self._lines = (_Line(), _Line())
        """For what is short, and comes all the time; and for what may take its time."""

    async def begin(self) -> None:
        """Connect, and look at the tables."""
        async with self._asking() as db:
            await self._migrate(db)

    async def facts(self) -> StoreFacts:
        """One statement, once the tables are known."""
        async with self._asking() as db:
            self._check_age(db)
            version = await self._version(db)
            self._check(version)
            found = await db.fetchrow(
                "SELECT extract(epoch FROM clock_timestamp())::float8, current_setting('fsync') = 'on',"
                " pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE')"
            )
        clock, is_safe, is_standby, may_make = found
        weaknesses = (
            "" if is_safe else "fsync is off: with its power it loses what it has said to have",
            "it is a standby: nothing can be written" if is_standby else "",
            "" if may_make or version else "its user may not make a schema (GRANT CREATE ON DATABASE)",
        )
        return StoreFacts(clock, version == 0, tuple(filter(None, weaknesses)))

    async def pulse(self, gateway: str, spent: bytes | None) -> Pulse:
        """One statement, or two."""
        async with self._asking() as db:
            if spent is not None:
                await db.execute(
                    f"INSERT INTO {self._schema}.spent VALUES ($1, now(), $2)"  # noqa: S608 - a checked name
                    " ON CONFLICT (gateway) DO UPDATE SET at = now(), body = excluded.body",
                    gateway,
                    spent,
                )
            rows = await db.fetch(
                f"SELECT name, convert_to(value, 'UTF8') AS body FROM {self._schema}.about"  # noqa: S608
                f" UNION ALL SELECT ':' || gateway, body FROM {self._schema}.spent"
                f" WHERE gateway <> $1 AND at > now() - {LATELY}",
                gateway,
            )
        told = {row["name"]: bytes(row["body"]) for row in rows}
        return _pulse(told)

    async def entries(self, kind: str, after: int) -> list[Entry]:
        """In the order of their versions."""
        async with self._asking() as db:
            rows = await db.fetch(
                f"SELECT key, body, version FROM {self._schema}.entries"  # noqa: S608
                " WHERE kind = $1 AND version > $2 ORDER BY version LIMIT $3",
                kind,
                after,
                MOST_ENTRIES,
            )
        return [Entry(row["key"], bytes(row["body"]), row["version"]) for row in rows]

    async def entry(self, kind: str, key: str) -> bytes | None:
        """By its key."""
        async with self._asking() as db:
            body = await db.fetchval(
                f"SELECT body FROM {self._schema}.entries WHERE kind = $1 AND key = $2",  # noqa: S608
                kind,
                key,
            )
        return None if body is None else bytes(body)

    async def change(self, kind: str, keys: Collection[str], join: Join) -> None:
        """In one transaction."""
        async with self._alone() as db:
            rows = await db.fetch(
                f"SELECT key, body FROM {self._schema}.entries WHERE kind = $1 AND key = ANY($2)",  # noqa: S608
                kind,
                list(keys),
            )
            wanted = join({row["key"]: bytes(row["body"]) for row in rows})
            for key, body in wanted.items():
                await self._put(db, kind, key, body)

    async def drop(self, kind: str, keys: Collection[str]) -> None:
        """Their rows."""
        async with self._asking() as db:
            await db.execute(
                f"DELETE FROM {self._schema}.entries WHERE kind = $1 AND key = ANY($2)",  # noqa: S608
                kind,
                list(keys),
            )

    # -- the history

    async def shipped(self, gateway: str, journal: str) -> int:
        """By its row."""
        async with self._asking(at_leisure=True) as db:
            return await history.shipped(db, self._schema, gateway, journal)

    async def ship(self, shipment: Shipment) -> None:
        """One transaction, in which nobody erases."""
        async with self._asking(at_leisure=True) as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock_shared($1)", self._lock_key + 1)
            await history.ship(db, self._schema, shipment)

    async def sweep(self, gateway: str, journal: str, generation: int) -> None:
        """Some at a time."""
        where = "gateway = $1 AND journal = $2 AND generation < $3"
        while await self._delete_some(where, gateway, journal, generation):
            pass

    async def prune(self) -> None:
        """By the server's clock."""
        await self._delete_some("goes_at < extract(epoch FROM now())")

    async def page(self, wanted: Selection, before: PageKey | None, limit: int) -> FoundPage:
        """One statement."""
        async with self._asking(at_leisure=True) as db:
            return await history.page(db, self._schema, wanted, before, limit)

    async def utterance(self, utterance_id: str) -> FoundRow | None:
        """By its id."""
        async with self._asking(at_leisure=True) as db:
            return await history.utterance(db, self._schema, utterance_id)

    async def erase(self, erasure: Erasure) -> int:
        """One transaction, in which nobody ships."""
        async with self._alone() as db:
            await db.execute("SELECT pg_advisory_xact_lock($1)", self._lock_key + 1)
            await self._put(db, ERASED, erasure.key, await history.erased(db, self._schema, erasure))
            return await history.erase(db, self._schema, erasure)

    async def _delete_some(self, where: str, *values: object) -> bool:
        async with self._asking(at_leisure=True) as db:
            return await history.delete_some(db, self._schema, where, *values)

    async def close(self) -> None:
        """At once: a goodbye would wait for a server that does not answer."""
        for line in self._lines:
            if line.db is not None:
                line.db.terminate()

    # -- inside

    async def _put(self, db: Any, kind: str, key: str, body: bytes) -> None:
        await db.execute(
            f"WITH next AS (UPDATE {self._schema}.about SET value = (value::bigint + 1)::text"  # noqa: S608
            " WHERE name = 'last' RETURNING value::bigint AS version)"
            f" INSERT INTO {self._schema}.entries SELECT $1, $2, version, $3 FROM next"
            " ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, body = excluded.body",
            kind,
            key,
            body,
        )

    def _check_age(self, db: Any) -> None:
        if (found := db.get_server_version().major) < OLDEST:
            raise StoreRefused(f"{self._place} is PostgreSQL {found}", f"take {OLDEST} or newer")

    def _check(self, version: int) -> None:
        if version > VERSION:
            raise StoreRefused(
                f"{self._place} has tables of version {version}, and this Earshot knows {VERSION}",
                "update this gateway, too",
            )

    async def _migrate(self, db: Any) -> None:
        self._check_age(db)
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", self._lock_key)
            await self._to_this_version(db, await self._version(db))

    async def _version(self, db: Any) -> int:
        """0: there are no tables."""
        there = await db.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = 'about'", self._place.name
        )
        if not there:
            return 0
        query = f"SELECT value FROM {self._schema}.about WHERE name = 'version'"  # noqa: S608
        found = await db.fetchval(query)
        if found is None or not found.isdigit():
            raise StoreRefused(
                f"the schema {self._place.name} of {self._place} holds something else",
                "correct house.store_name",
            )
        return int(found)

    async def _to_this_version(self, db: Any, found: int) -> None:
        self._check(found)
        if found == VERSION:
            return
        await db.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
        for step in MIGRATIONS[found:]:
            await db.execute(step.format(schema=self._schema))
        await db.execute(
            f"INSERT INTO {self._schema}.about VALUES ('version', $1)"  # noqa: S608
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            str(VERSION),
        )

    @asynccontextmanager
    async def _asking(self, *, at_leisure: bool = False) -> AsyncIterator[Any]:
        """A connection, for this alone. One that was lost is made again."""
        line = self._lines[at_leisure]
        with self._translated():
            async with line.turn:
                if line.db is None or line.db.is_closed():
                    line.db = await self._connect()
                yield line.db

    async def _connect(self) -> Any:
        place = self._place
        async with asyncio.timeout(place.connect_seconds):
            await _meet(place)
        try:
            return await asyncpg.connect(
                host=place.host, port=place.port, user=place.username, password=place.password,
                database=place.database or None, ssl=place.tls or "disable", timeout=place.connect_seconds,
                command_timeout=STATEMENT_SECONDS, statement_cache_size=0,
                server_settings={"application_name": "earshot", "search_path": "pg_catalog"},
            )  # fmt: skip
        except (AttributeError, LookupError, ValueError, TypeError) as error:
            raise StoreUnavailable(f"{place} says what cannot be understood", NOBODY) from error

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Any]:
        """In a transaction in which nobody else changes entries."""
        async with self._asking() as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", self._lock_key)
            yield db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except TimeoutError as error:
            raise StoreUnavailable(f"{self._place} does not answer in time") from error
        except OSError as error:
            raise self._place.unreachable(error) from error
        except asyncpg.PostgresError as error:
            raise _refusal(self._place, error) from error
        except asyncpg.InterfaceError as error:  # the connection is closed, or was never one
            raise StoreUnavailable(f"{self._place}: {self._place.without_password(str(error))}") from error


async def _meet(place: StorePlace) -> None:
    """Whether it talks as a PostgreSQL does: some of what others say keeps asyncpg reading for ever."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.write(_SSL_REQUEST)
        answer = await reader.read(1)
    finally:
        writer.close()
    if answer not in (b"S", b"N"):
        raise StoreUnavailable(f"{place} does not talk as a PostgreSQL", NOBODY)


def _pulse(told: dict[str, bytes]) -> Pulse:
    try:
        epoch, version = told["epoch"].decode(), int(told["last"])
    except (KeyError, ValueError) as error:
        raise StoreRefused(
            "the table `about` of the shared store is damaged", "restore it from its backup"
        ) from error
    return Pulse(epoch, version, {name[1:]: body for name, body in told.items() if name.startswith(":")})


_CHANGES_BY_ITSELF = ("08", "25006", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE that say how it is just now: connections, a standby, deadlocks, no room, locks, a shutdown."""


def _refusal(place: StorePlace, error: asyncpg.PostgresError) -> StoreError:
    text, state = place.without_password(str(error)), str(getattr(error, "sqlstate", "") or "")
    if state.startswith("28"):
        return StoreRefused(
            f"{place} refuses the user or the password", "correct house.store or house.store_password_file"
        )
    if state == "3D000":
        return StoreRefused(f"{place}: {text}", "make it (createdb), or correct house.store")
    if state == "42501":
        return StoreRefused(
            f"{place} does not allow it: {text}", "let its user make and use a schema of its own"
        )
    if state.startswith("53"):
        return StoreUnavailable(f"{place}: {text}", "give its disk, memory or max_connections more room")
    if state.startswith(_CHANGES_BY_ITSELF):
        return StoreUnavailable(f"{place}: {text}")
    return StoreRefused(f"{place}: {text}", "see what has changed its tables; docs/house.md has them")
