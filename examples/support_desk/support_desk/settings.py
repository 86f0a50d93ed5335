"""What the desk is told by its environment."""

from __future__ import annotations

import os

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
#: Where answers are kept; without it an answer is only what the job returns.
DATABASE_URL = os.environ.get("DESK_DATABASE_URL")
LLM_URL = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
LLM_KEY = os.environ.get("OPENROUTER_API_KEY", "")
LLM_MODEL = os.environ.get("DESK_MODEL", "openai/gpt-4o-mini")
