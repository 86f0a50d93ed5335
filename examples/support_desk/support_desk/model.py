"""The language model, over HTTP. One client for the whole process: its connections are used again."""

from __future__ import annotations

from typing import Any

import httpx

from support_desk import settings

_INSTRUCTION = "You answer questions of customers of a shop that sells bicycles. Two sentences at most."
_CLIENT = httpx.Client(
    base_url=settings.LLM_URL, headers={"Authorization": f"Bearer {settings.LLM_KEY}"}, timeout=httpx.Timeout(60.0)
)


def ask(question: str) -> tuple[str, int]:
    """What the model answers to a question, and how many tokens that took."""
    messages = [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": question}]
    response = _CLIENT.post("chat/completions", json={"model": settings.LLM_MODEL, "messages": messages})
    response.raise_for_status()
    reply: dict[str, Any] = response.json()
    return reply["choices"][0]["message"]["content"], reply["usage"]["total_tokens"]
