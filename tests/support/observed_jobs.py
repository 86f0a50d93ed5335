"""Jobs that leave traces for observers."""

from __future__ import annotations

import asyncio

import sentry_sdk


def succeed() -> int:
    return 1


def fail(word: str) -> None:
    sentry_sdk.add_breadcrumb(message=word)
    raise ValueError(word)


async def fail_slowly(word: str) -> None:
    sentry_sdk.add_breadcrumb(message=word)
    await asyncio.sleep(0.02)
    raise ValueError(word)
