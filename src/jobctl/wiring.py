"""The only place that builds adapters and hands them to the apps.

Each function imports what it builds inside its body: a command pays only for the parts it uses, so `jobctl plan`
never imports rq and `jobctl --help` imports nothing of it all.
"""

from __future__ import annotations
