"""The journal's tables: their schema, and rows in and out of them, on one SQLite connection."""
