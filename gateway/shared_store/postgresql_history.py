"""The history of the house in PostgreSQL, on a connection that somebody else has: statements, and nothing kept."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.journal.effects import UTTERANCE
from gateway.journal.history import Selection
from gateway.journal.of_house import PageKey
from gateway.journal.tables.search_words import terms
from gateway.shared_store.port import (
    ERASED,
    Erasure,
    FoundPage,
    FoundRow,
    SharedRow,
    Shipment,
    erased_until,
    keys_of,
    tie_of,
)

AT_ONCE = 500
"""Rows that go at once."""
_COLUMNS = (
    "utterance_id", "tie", "spoken", "correlation_id", "session_id", "conversation_id", "user_id", "device_id",
    "words", "replied", "goes_at", "gateway", "journal", "generation", "record",
)  # fmt: skip
_RENEWED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[3:])
_MARKS = ", ".join(f"${number + 1}" for number in range(len(_COLUMNS)))
_SHOWN = "gateway, utterance_id, spoken, record"
NUL = "\0"
"""A character that PostgreSQL has no room for in a text."""


async def shipped(db: Any, schema: str, gateway: str, journal: str) -> int:
    """The position of the last shipment out of this journal."""
    query = f"SELECT position FROM {schema}.shipped WHERE gateway = $1 AND journal = $2"  # noqa: S608
    return int(await db.fetchval(query, gateway, journal) or 0)


async def ship(db: Any, schema: str, shipment: Shipment) -> None:
    """Within a transaction."""
    rows = await _not_erased(db, schema, shipment.rows)
    await db.execute(
        f"DELETE FROM {schema}.history WHERE gateway = $1 AND utterance_id = ANY($2)",  # noqa: S608
        shipment.gateway,
        list(shipment.gone),
    )
    await db.executemany(
        f"INSERT INTO {schema}.history AS old VALUES ({_MARKS})"  # noqa: S608
        f" ON CONFLICT (utterance_id) DO UPDATE SET {_RENEWED}"
        " WHERE old.gateway = excluded.gateway OR excluded.replied OR NOT old.replied",
        [_columns(row, shipment) for row in rows],
    )
    await db.execute(
        f"INSERT INTO {schema}.shipped VALUES ($1, $2, $3) ON CONFLICT (gateway, journal)"  # noqa: S608
        " DO UPDATE SET position = excluded.position",
        shipment.gateway,
        shipment.journal,
        shipment.position,
    )


async def page(db: Any, schema: str, wanted: Selection, before: PageKey | None, limit: int) -> FoundPage:
    """The newest that are wanted."""
    where, values = _conditions(wanted, before)
    rows = await db.fetch(
        f"SELECT {_SHOWN} FROM {schema}.history"  # noqa: S608 - our own words
        f" WHERE {where} ORDER BY spoken DESC, tie DESC LIMIT {int(limit) + 1}",
        *values,
    )
    found = tuple(_found(row) for row in rows[:limit])
    return FoundPage(found, found[-1].key if len(rows) > limit else None)


async def utterance(db: Any, schema: str, utterance_id: str) -> FoundRow | None:
    """By its id."""
    query = f"SELECT {_SHOWN} FROM {schema}.history WHERE utterance_id = $1"  # noqa: S608 - our own words
    row = await db.fetchrow(query, utterance_id)
    return _found(row) if row else None


async def erased(db: Any, schema: str, erasure: Erasure) -> bytes:
    """What is to stand there of it."""
    query = f"SELECT body FROM {schema}.entries WHERE kind = $1 AND key = $2"  # noqa: S608 - our own words
    standing = await db.fetchval(query, ERASED, erasure.key)
    return erasure.joined({} if standing is None else {erasure.key: bytes(standing)})[erasure.key]


async def erase(db: Any, schema: str, erasure: Erasure) -> int:
    """How many rows there were."""
    table = f"{schema}.history"
    if erasure.kind == UTTERANCE:
        done = await db.execute(f"DELETE FROM {table} WHERE utterance_id = $1", erasure.subject)  # noqa: S608
    else:
        query = f"DELETE FROM {table} WHERE user_id = $1 AND spoken <= $2"  # noqa: S608
        done = await db.execute(query, erasure.subject, erasure.at)
    return int(done.split()[-1])


async def delete_some(db: Any, schema: str, where: str, *values: object) -> bool:
    """Whether there were any."""
    table = f"{schema}.history"
    done = await db.execute(
        f"DELETE FROM {table} WHERE utterance_id IN"  # noqa: S608 - our own words
        f" (SELECT utterance_id FROM {table} WHERE {where} LIMIT {AT_ONCE})",
        *values,
    )
    return not str(done).endswith(" 0")


async def _not_erased(db: Any, schema: str, rows: Collection[SharedRow]) -> list[SharedRow]:
    found = await db.fetch(
        f"SELECT key, body FROM {schema}.entries WHERE kind = $1 AND key = ANY($2)",  # noqa: S608
        ERASED,
        list({key for row in rows for key in keys_of(row)}),
    )
    erased = {row["key"]: erased_until(row["key"], bytes(row["body"])) for row in found}
    return [row for row in rows if all(erased.get(key, -1) < row.spoken for key in keys_of(row))]


def _columns(row: SharedRow, shipment: Shipment) -> tuple[object, ...]:
    return (
        row.utterance_id, tie_of(row.utterance_id), row.spoken, row.correlation_id, row.session_id, row.conversation_id,
        row.user_id, row.device_id, row.words.replace(NUL, ""), row.replied, row.goes_at, shipment.gateway,
        shipment.journal, shipment.generation, row.record,
    )  # fmt: skip


def _conditions(wanted: Selection, before: PageKey | None) -> tuple[str, list[object]]:
    parts, values = ["true"], list[object]()

    def where(condition: str, *more: object) -> None:
        for value in more:
            values.append(value)
            condition = condition.replace("?", f"${len(values)}", 1)
        parts.append(condition)

    for column in ("session_id", "conversation_id", "device_id", "user_id"):
        if value := getattr(wanted, column):
            where(f"{column} = ?", value)
    for column, allowed in (("user_id", wanted.users), ("device_id", wanted.devices)):
        if allowed:
            where(f"{column} = ANY(?)", sorted(allowed))
    if before is not None:
        where("(spoken, tie) < (?, ?)", before.spoken, before.tie)
    for term in terms(wanted.text):
        where("strpos(words, ?) > 0", term.replace(NUL, ""))
    return " AND ".join(parts), values


def _found(row: Any) -> FoundRow:
    return FoundRow(row["gateway"], row["utterance_id"], row["spoken"], bytes(row["record"]))
