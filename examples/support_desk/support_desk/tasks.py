"""The jobs."""

from __future__ import annotations

from support_desk import answers, model


def answer_ticket(ticket: int, question: str) -> dict[str, object]:
    """Ask the model, keep the answer in Postgres, and return it."""
    answer, tokens = model.ask(question)
    kept = answers.keep(ticket, question, answer, tokens)
    return {"ticket": ticket, "answer": answer, "tokens": tokens, "kept": kept}
