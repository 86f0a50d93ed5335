"""Whether OpenRouter will answer tomorrow: the key, its limit, the credit, the rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.core.facts import AccountFacts, Unreachable
from jobctl.core.words import number, usd

__all__ = ["CHECKS"]

_MISSING: Final = unchecked("no key is given", "set OPENROUTER_API_KEY")
_REFUSED: Final = unchecked("the key was refused", "mend that first")
_BUY: Final = "buy credits at openrouter.ai/settings/credits, or turn auto top-up on"


def _key(set_up: SetUp) -> Finding:
    account = set_up.account
    if account is None:
        return _MISSING
    if isinstance(account, Unreachable):
        return fail(account.problem, account.remedy)
    if account.refusal:
        return fail(f"the key is refused ({account.refusal})", "set OPENROUTER_API_KEY to a key that is enabled")
    return ok("key accepted")


def _remaining(set_up: SetUp, account: AccountFacts) -> Finding:
    left, low = account.remaining_usd, set_up.intent.thresholds.key_usd
    if left is None:
        return ok("no limit of the key's own")
    remedy = "raise the key's limit at openrouter.ai/settings/keys"
    if left <= 0:
        return fail("the key's own limit is used up: every call fails", remedy)
    if left < low:
        return warn(f"the key's own limit leaves {usd(left)}, below {usd(low)}", remedy)
    return ok(f"{usd(left)} left of the key's limit")


def _credit(set_up: SetUp, account: AccountFacts) -> Finding:
    left, low = account.credit_usd, set_up.intent.thresholds.credit_usd
    if left is None:
        return unchecked("OpenRouter does not tell this key the credit", "give a management key to the exporter")
    if left <= 0:
        return fail(f"{usd(max(0.0, left))} of credit left: every paid call fails", _BUY)
    if left < low:
        return warn(f"{usd(left)} of credit left, below {usd(low)}", _BUY)
    return ok(f"{usd(left)} of credit")


def _tier(set_up: SetUp, account: AccountFacts) -> Finding:
    if account.free_tier:
        return warn("no credits were ever bought: 50 calls a day of free models, and none of others", _BUY)
    return ok("paid account")


def _rate(set_up: SetUp, account: AccountFacts) -> Finding:
    if account.rpm is None:
        return ok("no rate limit of the key's own")
    fleet = set_up.intent.rpm
    told = f"the key allows {number(account.rpm)} calls a minute"
    remedy = f"give --openrouter-rpm {account.rpm:g}"
    if fleet is None:
        return warn(f"{told}, and the fleet has no limit of its own", remedy)
    if fleet > account.rpm:
        return warn(f"{told}, and the fleet {number(fleet)}: the rest are 429s", remedy)
    return ok(f"{told}, the fleet {number(fleet)}")


def _known(
    judge: Callable[[SetUp, AccountFacts], Finding],
) -> Callable[[SetUp, AccountFacts], Finding]:
    """A check of an account whose key was accepted."""
    return lambda set_up, account: _REFUSED if account.refusal else judge(set_up, account)


def _account(set_up: SetUp) -> AccountFacts | Unreachable | None:
    return set_up.account


def _check(name: str, title: str, judge: Callable[[SetUp, AccountFacts], Finding]) -> Check:
    return Check(name, Group.OPENROUTER, title, on(_account, "OpenRouter", _MISSING, _known(judge)))


CHECKS: Final = (
    Check("openrouter-key", Group.OPENROUTER, "key", _key),
    _check("openrouter-key-limit", "key's limit", _remaining),
    _check("openrouter-credit", "credit", _credit),
    _check("openrouter-tier", "tier", _tier),
    _check("openrouter-rate", "rate", _rate),
)
