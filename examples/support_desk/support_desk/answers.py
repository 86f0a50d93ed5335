"""The table of answers in Postgres. A connection is open while a row is written, and not while the model thinks."""

from __future__ import annotations

import psycopg

from support_desk import settings

_CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    ticket bigint PRIMARY KEY,
    question text NOT NULL,
    answer text NOT NULL,
    tokens integer NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now()
)
"""
# A job may run twice, when its worker dies just after the write; the second answer takes the place of the first.
_KEEP = """
INSERT INTO answers (ticket, question, answer, tokens) VALUES (%s, %s, %s, %s)
ON CONFLICT (ticket) DO UPDATE SET answer = excluded.answer, tokens = excluded.tokens, answered_at = now()
"""


def create_table() -> bool:
    """Make the table unless it is there; False when there is no database."""
    if settings.DATABASE_URL is None:
        return False
    with psycopg.connect(settings.DATABASE_URL) as connection:
        connection.execute(_CREATE)
    return True


def keep(ticket: int, question: str, answer: str, tokens: int) -> bool:
    """Keep an answer; False when there is no database."""
    if settings.DATABASE_URL is None:
        return False
    with psycopg.connect(settings.DATABASE_URL) as connection:
        connection.execute(_KEEP, (ticket, question, answer, tokens))
    return True
