"""The only place that builds adapters and hands them to the apps: one module per verb, and what several of them share.

Each function imports what it builds inside its body: a command pays only for the parts it uses, so `jobctl plan`
never imports rq and `jobctl --help` imports nothing of it all.
"""

from __future__ import annotations

from jobctl.wiring.limiter import bind_tasks_from_environment as bind_tasks_from_environment
