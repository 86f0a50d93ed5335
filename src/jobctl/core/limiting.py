"""How many calls an upstream is sent: a decision, with time as an argument.

Theory of operation. The same rules stand in ``adapters/lua/limiter.lua`` (keep in sync); tests hold both against each
other, step by step.

*Rate.* One bucket counts calls, another tokens; a call takes from both or from neither (a GCRA, ITU-T I.371, written as
its twin, the leaky bucket as a meter). With N calls allowed in a window of W seconds, a tolerance T and a jitter J, the
bucket refills at R = N / (W + J + T) a second and holds 1 + burst + R T. The first and the last of N + burst + 1 grants
then lie at least W + J apart. A call reaches the upstream at most J after its grant, so *no window of W seconds sees
more than N + burst arrivals*. The price is the share W / (W + J + T) of the allowance: 97 % by default. A call of more
tokens than the bucket holds passes when the bucket is full and leaves a debt; the token limit is exceeded by no more
than the largest call.

*Line.* Who is denied is given a place: a position on a virtual clock that counts calls, as fast as they may be sent.
Positions are one call apart and the first free one is the *tail*, so each denied call is told when its turn comes,
however long the line, and comes back once. Whoever has a place that is due goes first. A place is kept through pauses
and changes of the rate: who comes too early is told the rest. What the line leaves unclaimed (half the tolerance of it,
because the owner is late or will never come) goes to newcomers, so nothing is lost and nobody has to clean up. Who is
due and finds the bucket empty keeps the place and is sent back for a moment, again one call apart. *Walk-ins* take no
place: a worker that asks for permits before it fetches, and the second call of a job that already paid for its first.
While there is a line they have half of the rate. Where nothing limits the rate a place binds nobody; it only spreads
those whom a pause turned away: the first ``together`` return at its end, so that many calls are under way before the
next refusal is known, the others at ``spread_per_s``.

*Pause.* An upstream that says "not before" is believed: nobody passes until then. Without a hint the pause is
``pause_s``, doubled with each refusal in a row; any answer that is no refusal ends the row. The first ``tolerance_s``
of a pause count as time in which calls could be sent, for buckets and line alike, and the rest does not: so a short
pause costs nothing of the allowance, and after a long one no more than a full bucket follows.

*AIMD* (Chiu and Jain 1989), on the share of refusals and not on single ones, because a crowded pool refuses some of the
calls however few they are, and fewer calls then only means less work. Answers are judged by the batch: at least
``judged_calls`` of calls that were sent after the last change of the rate, in at least ``judged_s``. If more than
``judged_share`` of them are refusals, the rate is multiplied by ``decrease``, but not below what was accepted in that
time: of an upstream that serves C a second this leaves C, whatever the rate was. It then grows by as much again in
``recover_s`` (longer where calls are rare, for they tell less), and when it has doubled the cap is gone. If lowering
the rate has only lowered what is accepted, by more than the share that is tolerated, the refusals have another cause
and the rate becomes what it was before.

*Retry budget* (as in Finagle). Each first call pays in a tenth, a retry costs one; a trickle keeps the last retries
from waiting for first calls that never come.

*Breaker.* It opens when, of at least ``breaker_calls`` recent outcomes, the failed share reaches ``breaker_share``;
then nobody passes for ``open_s``, doubled each time it fails again. Afterwards ``probes`` calls pass; if all succeed it
closes, if one fails it opens again.

All of them deny in the same way: a delay, a reason, and a place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = [
    "Account",
    "Ask",
    "Decision",
    "Denial",
    "Grant",
    "Limit",
    "Limits",
    "Outcome",
    "Permits",
    "Report",
    "Scope",
    "ScopeStatus",
    "Tuning",
]

#: Rounding that is no reason to deny.
_EPS: Final = 1e-6
#: More calls than anybody asks for at once.
_MANY: Final = 1e9
#: Nobody is sent away for less, seconds.
_SHORTEST_S: Final = 0.001


class Denial(StrEnum):
    """Why a call may not go now."""

    LIMIT = "limit"
    PAUSED = "paused"
    BREAKER = "breaker"
    RETRY_BUDGET = "retry_budget"
    #: The limiter itself could not be asked, and the setting says to wait then.
    UNAVAILABLE = "limiter_unavailable"


class Outcome(StrEnum):
    """How a call went, as far as the limiter cares."""

    #: It was answered, be it with a refusal that no waiting heals.
    OK = "ok"
    #: The upstream is in trouble: a server error, a timeout, a broken connection.
    FAILED = "failed"
    #: The upstream asks this model's callers to wait.
    THROTTLED = "throttled"
    #: The upstream asks all callers with this key to wait.
    ACCOUNT_THROTTLED = "account_throttled"


@dataclass(frozen=True, slots=True)
class Limit:
    """What a model's callers may ask for, all together.

    Attributes:
        rpm: Calls in any window (a minute); None for no limit.
        tpm: Tokens likewise.
        burst: Calls by which a window may exceed ``rpm``.
    """

    rpm: float | None = None
    tpm: float | None = None
    burst: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of all models.

    Attributes:
        default: Of each model that is not named.
        by_model: Of those that are.
    """

    default: Limit = field(default_factory=Limit)
    by_model: Mapping[str, Limit] = field(default_factory=dict)

    def of(self, model: str) -> Limit:
        """The limit of a model."""
        return self.by_model.get(model, self.default)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The constants of the rules; the module's docstring says what each is for. Times are in seconds.

    Attributes:
        window_s: What the limits count in.
        tolerance_s: How uneven grants may be: the depth of a bucket, in seconds of its refill.
        jitter_s: The longest way from a grant to the upstream.
        pause_s: A pause that the upstream gave no length for.
        longest_pause_s: No pause is longer, whatever the upstream says.
        longest_backoff_s: No pause without a hint is longer, and no opening of the breaker.
        judged_calls: The fewest answers that are judged.
        judged_s: The shortest time that is judged.
        judged_longest_s: An older batch that is not complete is thrown away.
        judged_share: The refused share above which the rate is lowered.
        decrease: What it is multiplied by.
        lowest_rate_per_s: It is not lowered below this; a lower limit is left to the pauses.
        recover_s: How long the rate takes to double again.
        recover_calls: In how many calls it doubles at the earliest.
        seen_s: Time constant of the observed rate.
        together: How many come back at once after a pause where nothing limits the rate.
        spread_per_s: How many a second of the others.
        first_tokens: What a call is expected to take before any answer has told.
        retry_share: What each first call pays into the retry budget.
        retry_trickle_per_s: What time pays into it.
        retry_reserve: The most it holds.
        breaker_window_s: Time constant of the counted outcomes.
        breaker_calls: The fewest that are judged.
        breaker_share: The failed share that opens the breaker.
        open_s: How long it stays open at first.
        probes: How many calls try whether it may close.
        spacing: Distance of places in the line, in costs of a call: the excess is for those who come late.
        ttl_s: How long an idle scope is remembered.
    """

    window_s: float = 60.0
    tolerance_s: float = 1.2
    jitter_s: float = 0.6
    pause_s: float = 1.0
    longest_pause_s: float = 86_400.0
    longest_backoff_s: float = 60.0
    judged_calls: int = 60
    judged_s: float = 5.0
    judged_longest_s: float = 120.0
    judged_share: float = 0.2
    decrease: float = 0.5
    lowest_rate_per_s: float = 1.0
    recover_s: float = 60.0
    recover_calls: float = 200.0
    seen_s: float = 10.0
    together: int = 64
    spread_per_s: float = 200.0
    first_tokens: float = 1000.0
    retry_share: float = 0.1
    retry_trickle_per_s: float = 0.2
    retry_reserve: float = 10.0
    breaker_window_s: float = 30.0
    breaker_calls: float = 20.0
    breaker_share: float = 0.5
    open_s: float = 5.0
    probes: int = 3
    spacing: float = 1.005
    ttl_s: float = 3600.0

    @property
    def spread_s(self) -> float:
        """What the allowance of one window is spread over."""
        return self.window_s + self.jitter_s + self.tolerance_s


@dataclass(frozen=True, slots=True)
class Permits:
    """What a job keeps about its next call, as one line of text that travels with it.

    ``granted MODEL TOKENS``: the call is allowed and so many tokens were charged for it. ``place MODEL POSITION``: it
    has a place in the model's line. ``budget MODEL 0``: it waited for the retry budget.

    Attributes:
        kind: ``granted``, ``place`` or ``budget``; empty for nothing.
        model: The model it holds for; it is worth nothing for another.
        value: Tokens or position.
    """

    kind: str = ""
    model: str = ""
    value: float = 0.0

    def to_text(self) -> str:
        """As it is kept with the job."""
        return f"{self.kind} {self.model} {self.value:.6f}" if self.kind else ""

    @classmethod
    def parse(cls, text: str, model: str) -> Permits:
        """Read what a job kept; what is for another model or makes no sense is nothing."""
        kind, _, rest = text.partition(" ")
        for_model, _, number = rest.rpartition(" ")
        try:
            value = float(number)
        except ValueError:
            return cls()
        known = kind in {"granted", "place", "budget"} and for_model == model and math.isfinite(value)
        return cls(kind, model, value) if known else cls()


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to call.

    Attributes:
        calls: How many calls; fewer may be granted.
        tokens: Tokens of each, estimated; None for what calls of this model took so far.
        retry: Whether they repeat calls that failed.
        permits: What was kept from the last answer; None for a walk-in, who takes no place.
    """

    calls: int = 1
    tokens: float | None = None
    retry: bool = False
    permits: Permits | None = field(default_factory=Permits)


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a wish.

    Attributes:
        granted: How many calls may be sent now.
        delay_s: Seconds until it is worth asking for the others; 0 when all are granted.
        reason: Why not all are granted, a :class:`Denial`; empty when they are.
        permits: To be kept with the job: for one that was denied its place, for one whose call is granted before it
            runs the proof of that. See :class:`Permits`.
        tokens: Tokens charged for each call that is granted.
    """

    granted: int
    delay_s: float = 0.0
    reason: str = ""
    permits: str = ""
    tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """A :class:`Grant` before its permits are written down: their kind and value, and the rest as there."""

    granted: int = 0
    delay_s: float = 0.0
    reason: str = ""
    kind: str = ""
    value: float = 0.0
    tokens: float = 0.0

    def to_grant(self, model: str) -> Grant:
        """For a caller of this model."""
        permits = Permits("granted", model, self.tokens) if self.granted else Permits(self.kind, model, self.value)
        return Grant(self.granted, self.delay_s, self.reason, permits.to_text(), self.tokens)


@dataclass(frozen=True, slots=True)
class Report:
    """How a call went.

    Attributes:
        outcome: In the limiter's terms.
        latency_s: How long the call took: tells calls sent before a pause from those sent after it.
        wait_s: How long the upstream asked to wait; None when it did not say.
        tokens: Tokens that it took beyond those charged; negative when it took fewer.
        used: Tokens that it took; None when unknown.
    """

    outcome: Outcome
    latency_s: float = 0.0
    wait_s: float | None = None
    tokens: float = 0.0
    used: float | None = None


@dataclass(frozen=True, slots=True)
class ScopeStatus:
    """A model's state, to read.

    Attributes:
        model: Which.
        rate_per_s: Calls a second that pass at most; None for no limit.
        headroom: The free share of the allowance, 0..1, from the observed rate; 1 without a limit, 0 during a pause.
            Where tokens are what is short, they count as so many calls of the usual size.
        line_s: How long a newcomer would wait.
        paused_s: How long the pause lasts, the account's included; 0 without one.
        breaker_open: Whether the breaker is open or tries whether it may close.
        factor: The share of the configured rate that AIMD leaves; where none is configured, of the rate at which its
            cap will be gone.
        retry_budget: Retries that may be sent now.
    """

    model: str
    rate_per_s: float | None
    headroom: float
    line_s: float
    paused_s: float
    breaker_open: bool
    factor: float
    retry_budget: float


@dataclass(slots=True)
class Account:
    """What all models of one key share: pauses and the retry budget.

    Attributes:
        at_s: When it was last brought up to date.
        paused_until_s: Nobody passes before.
        strikes: Refusals in a row.
        budget: Retries that may be sent.
        budget_tail_s: When the next retry that is put off shall come.
        seen: First calls, fading.
    """

    at_s: float
    paused_until_s: float = 0.0
    strikes: int = 0
    budget: float = 0.0
    budget_tail_s: float = 0.0
    seen: float = 0.0

    @classmethod
    def new(cls, tuning: Tuning, now_s: float) -> Account:
        """A fresh one; its reserve is full."""
        return cls(at_s=now_s, budget=tuning.retry_reserve)

    def advance(self, tuning: Tuning, now_s: float) -> None:
        """Bring it up to date."""
        elapsed_s = max(0.0, now_s - self.at_s)
        self.at_s = max(self.at_s, now_s)
        self.budget = min(tuning.retry_reserve, self.budget + elapsed_s * tuning.retry_trickle_per_s)
        self.seen *= math.exp(-elapsed_s / tuning.seen_s)

    def budget_wait_s(self, tuning: Tuning, *, waited: bool) -> float:
        """Seconds until a retry may be sent; 0 for now. Those who are put off are spread."""
        someone_waits = self.budget_tail_s > self.at_s and not waited
        if self.budget >= (tuning.retry_reserve / 2 if someone_waits else 1.0) - _EPS:
            return 0.0
        refill_per_s = tuning.retry_trickle_per_s + tuning.retry_share * self.seen / tuning.seen_s
        self.budget_tail_s = max(self.at_s, self.budget_tail_s) + 1.0 / refill_per_s
        return self.budget_tail_s - self.at_s

    def count(self, tuning: Tuning, calls: int, *, retry: bool) -> None:
        """Book granted calls; negative for calls given back."""
        if retry:
            self.budget -= calls
        else:
            self.seen = max(0.0, self.seen + calls)
            self.budget = min(tuning.retry_reserve, self.budget + tuning.retry_share * calls)

    def pause(self, tuning: Tuning, report: Report) -> None:
        """Let nobody pass for a while."""
        self.strikes, self.paused_until_s = _struck(tuning, report, self.at_s, self.strikes, self.paused_until_s)


@dataclass(slots=True)
class Scope:
    """The state of one model under one key.

    Attributes:
        at_s: When it was last brought up to date.
        calls: Calls that may be sent now.
        tokens: Tokens likewise; below zero it is a debt.
        served: How far the line's clock has come, in calls; so are all positions.
        tail: Its first free position.
        rear: The next position for those who are due and found no room.
        door: Calls that walk-ins may take while there is a line.
        pushed: How much they took of the line's clock, fading.
        cap_per_s: The rate that AIMD leaves; infinite when it leaves all.
        lowered_per_s: What it was when it last changed; it grows from there.
        changed_s: When that was.
        earlier_per_s: What it was before the last lowering.
        earlier_good_per_s: Calls a second that were accepted then; 0 when there is nothing to go back to.
        accepted: Answers of this batch that were no refusals.
        refused: Answers of this batch that were.
        judging_s: How long it has been collected.
        credit_s: How much of the pause, or of the next, still counts.
        paused_until_s: Nobody passes before.
        strikes: Refusals in a row.
        seen: Calls granted, fading.
        counted_s: How long they have been counted.
        succeeded: Outcomes, fading.
        failed: Likewise.
        open_until_s: When the breaker tries whether it may close.
        opened: How often it opened in a row; 0 when it is closed.
        probing: Probes sent.
        probed: Probes that succeeded.
        mean_tokens: What a call takes; 0 while no answer has told.
    """

    at_s: float
    calls: float = math.inf
    tokens: float = math.inf
    served: float = 0.0
    tail: float = 0.0
    rear: float = 0.0
    door: float = math.inf
    pushed: float = 0.0
    cap_per_s: float = math.inf
    lowered_per_s: float = 0.0
    changed_s: float = -math.inf
    earlier_per_s: float = math.inf
    earlier_good_per_s: float = 0.0
    accepted: int = 0
    refused: int = 0
    judging_s: float = 0.0
    credit_s: float = 0.0
    paused_until_s: float = 0.0
    strikes: int = 0
    seen: float = 0.0
    counted_s: float = 0.0
    succeeded: float = 0.0
    failed: float = 0.0
    open_until_s: float = 0.0
    opened: int = 0
    probing: int = 0
    probed: int = 0
    mean_tokens: float = 0.0

    @classmethod
    def new(cls, now_s: float) -> Scope:
        """A fresh one; its buckets are full."""
        return cls(at_s=now_s)

    def busy_until_s(self, limit: Limit, tuning: Tuning) -> float:
        """When the last of what it knows is over."""
        until_s = max(self.at_s, self.paused_until_s, self.open_until_s)
        return until_s + (self.tail - self.served) / self._pace_per_s(limit, tuning)

    # ------------------------------------------------------------------------------------------------------- requests

    def acquire(self, limit: Limit, tuning: Tuning, account: Account, ask: Ask, now_s: float) -> Decision:
        """Decide on a wish, and book it.

        Args:
            limit: What is allowed.
            tuning: The constants.
            account: What the models of this key share.
            ask: The wish; the model in its permits has been checked.
            now_s: The time, seconds since the epoch.
        """
        self.advance(limit, tuning, account, now_s)
        now_s = self.at_s
        tokens = self._usual_tokens(tuning) if ask.tokens is None else ask.tokens
        until_s, reason = self._blocked(account)
        if until_s > now_s:
            return self._deny(limit, tuning, ask, tokens, reason, until_s - now_s)
        probes_left = tuning.probes - self.probing if self.opened else ask.calls
        if probes_left <= 0:
            return self._deny(limit, tuning, ask, tokens, Denial.BREAKER, tuning.pause_s)
        if ask.retry:
            waited = ask.permits is not None and ask.permits.kind != ""
            wait_s = account.budget_wait_s(tuning, waited=waited)
            if wait_s > 0:
                return Decision(0, wait_s, Denial.RETRY_BUDGET, "budget")
        wanted = min(ask.calls, probes_left, max(1, int(account.budget + _EPS)) if ask.retry else ask.calls)
        granted = min(wanted, self._room(limit, tuning, tokens))
        if not self.opened:
            granted = self._in_turn(limit, tuning, ask, tokens, granted)
        if granted <= 0:
            return self._deny(limit, tuning, ask, tokens, Denial.LIMIT, 0.0)
        self.calls -= granted
        self.tokens -= granted * tokens
        self.seen += granted
        if self._is_unlimited(limit, tuning):
            self.served += granted  # the line is as long as there are calls in it
        self.probing += granted if self.opened else 0
        account.count(tuning, granted, retry=ask.retry)
        if granted == ask.calls:
            return Decision(granted, tokens=tokens)
        wait_s = max(_SHORTEST_S, self._deficit_s(limit, tuning, tokens))
        return Decision(granted, wait_s, Denial.LIMIT, tokens=tokens)

    def release(self, limit: Limit, tuning: Tuning, account: Account, calls: int, tokens: float, now_s: float) -> None:
        """Take back calls that were granted and will not be sent, each with the tokens that were charged."""
        self.advance(limit, tuning, account, now_s)
        self.calls = min(self._depth(limit, tuning), self.calls + calls)
        self.tokens = min(_token_depth(limit, tuning), self.tokens + calls * tokens)
        self.seen = max(0.0, self.seen - calls)
        self.probing = max(0, self.probing - calls) if self.opened else 0
        account.count(tuning, -calls, retry=False)

    def report(self, limit: Limit, tuning: Tuning, account: Account, report: Report, now_s: float) -> Decision:
        """Learn how a call went.

        Returns:
            For a call that was told to wait: when to come again, with a place at the front. Otherwise nothing granted.
        """
        self.advance(limit, tuning, account, now_s)
        self.tokens = min(_token_depth(limit, tuning), self.tokens - report.tokens)
        if report.used is not None:
            self.mean_tokens += (report.used - self.mean_tokens) * (0.1 if self.mean_tokens > 0 else 1.0)
        match report.outcome:
            case Outcome.OK:
                self._succeed(tuning, report)
            case Outcome.FAILED:
                self._fail(tuning, report)
            case Outcome.THROTTLED | Outcome.ACCOUNT_THROTTLED:
                self._judge(limit, tuning, report, refused=True)
                return self._throttle(limit, tuning, account, report)
        self.strikes = account.strikes = 0
        self._judge(limit, tuning, report, refused=False)
        return Decision()

    def status(self, model: str, limit: Limit, tuning: Tuning, account: Account, now_s: float) -> ScopeStatus:
        """What there is to read."""
        self.advance(limit, tuning, account, now_s)
        rate_per_s = self._rate_per_s(limit, tuning)
        unlimited = self._is_unlimited(limit, tuning)
        used = 0.0 if unlimited else self._seen_per_s(tuning) / self._line_per_s(limit, tuning)
        full_per_s = 2.0 * self.lowered_per_s if limit.rpm is None else _per_s(limit.rpm, tuning)
        until_s = max(account.paused_until_s, self.paused_until_s)
        return ScopeStatus(
            model=model,
            rate_per_s=None if math.isinf(rate_per_s) else rate_per_s,
            headroom=min(1.0, max(0.0, 1.0 - used)) if until_s <= self.at_s else 0.0,
            line_s=(self.tail - self.served) / self._pace_per_s(limit, tuning),
            paused_s=max(0.0, until_s - self.at_s),
            breaker_open=self.opened > 0,
            factor=1.0 if math.isinf(self.cap_per_s) else rate_per_s / full_per_s,
            retry_budget=account.budget,
        )

    # ----------------------------------------------------------------------------------------------------------- time

    def advance(self, limit: Limit, tuning: Tuning, account: Account, now_s: float) -> None:
        """Bring the state up to date. Time that steps back stands still."""
        account.advance(tuning, now_s)
        elapsed_s = max(0.0, now_s - self.at_s)
        live_s, open_s = self._live_s(tuning, account, now_s)
        self.at_s = max(self.at_s, now_s)
        self._recover(limit, tuning, live_s)
        rate_per_s = self._rate_per_s(limit, tuning)
        self.calls = _filled(self.calls, live_s * rate_per_s, self._depth(limit, tuning))
        self.door = _filled(self.door, live_s * rate_per_s / 2, self._depth(limit, tuning))
        self.tokens = _filled(self.tokens, live_s * _per_s(limit.tpm, tuning), _token_depth(limit, tuning))
        if not self.opened:
            line_s = open_s if self._is_unlimited(limit, tuning) else live_s
            self.served += line_s * self._line_per_s(limit, tuning)
        self.tail = max(self.tail, self.served)
        fading = math.exp(-live_s / tuning.seen_s)
        self.seen *= fading
        self.pushed *= fading
        self.counted_s += live_s
        self.judging_s += live_s
        fading = math.exp(-elapsed_s / tuning.breaker_window_s)
        self.succeeded *= fading
        self.failed *= fading

    def _live_s(self, tuning: Tuning, account: Account, now_s: float) -> tuple[float, float]:
        """Time since the last step that counts, and time in which calls could go."""
        until_s = self._blocked(account)[0]
        blocked_s = max(0.0, min(now_s, until_s) - self.at_s)
        counts_s = min(blocked_s, self.credit_s)
        self.credit_s = tuning.tolerance_s if now_s >= until_s else self.credit_s - counts_s
        open_s = max(0.0, now_s - self.at_s) - blocked_s
        return open_s + counts_s, open_s

    def _blocked(self, account: Account) -> tuple[float, Denial]:
        """Until when nobody passes, and why."""
        paused_s = max(self.paused_until_s, account.paused_until_s)
        if self.opened and self.open_until_s > paused_s:
            return self.open_until_s, Denial.BREAKER
        return paused_s, Denial.PAUSED

    # ----------------------------------------------------------------------------------------------------------- rate

    def _rate_per_s(self, limit: Limit, tuning: Tuning) -> float:
        """Calls a second that may be sent."""
        return min(_per_s(limit.rpm, tuning), self.cap_per_s)

    def _is_unlimited(self, limit: Limit, tuning: Tuning) -> bool:
        """Whether nothing but pauses keeps anybody."""
        return limit.tpm is None and math.isinf(self._rate_per_s(limit, tuning))

    def _line_per_s(self, limit: Limit, tuning: Tuning) -> float:
        """Calls a second by the line's clock."""
        if self._is_unlimited(limit, tuning):
            return tuning.spread_per_s
        return min(self._rate_per_s(limit, tuning), _per_s(limit.tpm, tuning) / self._usual_tokens(tuning))

    def _depth(self, limit: Limit, tuning: Tuning) -> float:
        return 1.0 + limit.burst + self._rate_per_s(limit, tuning) * tuning.tolerance_s

    def _cost(self, limit: Limit, tuning: Tuning, tokens: float) -> float:
        """What a call takes of the line's clock."""
        takes_s = max(1.0 / self._rate_per_s(limit, tuning), tokens / _per_s(limit.tpm, tuning))
        return tuning.spacing * (self._line_per_s(limit, tuning) * takes_s if takes_s > 0 else 1.0)

    def _usual_tokens(self, tuning: Tuning) -> float:
        return self.mean_tokens if self.mean_tokens > 0 else tuning.first_tokens

    def _room(self, limit: Limit, tuning: Tuning, tokens: float) -> int:
        """How many calls of so many tokens the buckets hold."""
        calls = self.calls
        if tokens > 0 and limit.tpm is not None:
            whole = self.tokens >= _token_depth(limit, tuning) - _EPS
            calls = min(calls, max(self.tokens / tokens, 1.0 if whole else 0.0))
        return int(min(calls, _MANY) + _EPS)

    def _deficit_s(self, limit: Limit, tuning: Tuning, tokens: float) -> float:
        """Seconds until the buckets hold one call."""
        rate_per_s = self._rate_per_s(limit, tuning)
        wait_s = 0.0 if math.isinf(rate_per_s) else (1.0 - self.calls) / rate_per_s
        if tokens > 0 and limit.tpm is not None:
            missing = min(tokens, _token_depth(limit, tuning)) - self.tokens
            wait_s = max(wait_s, missing / _per_s(limit.tpm, tuning))
        return max(0.0, wait_s)

    def _door_deficit_s(self, limit: Limit, tuning: Tuning) -> float:
        """Seconds until a walk-in may go before the line."""
        rate_per_s = self._rate_per_s(limit, tuning)
        return 0.0 if math.isinf(rate_per_s) else (1.0 - self.door) * 2 / rate_per_s

    def _seen_per_s(self, tuning: Tuning) -> float:
        """Calls a second, observed; corrected for the time before the first."""
        counted_s = max(1.0, self.counted_s)
        return self.seen / (tuning.seen_s * (1.0 - math.exp(-counted_s / tuning.seen_s)))

    # ----------------------------------------------------------------------------------------------------------- line

    def _in_turn(self, limit: Limit, tuning: Tuning, ask: Ask, tokens: float, room: int) -> int:
        """How many of the calls that there is room for may go before the line."""
        if self.tail <= self.served + _EPS or room <= 0:
            return room
        unclaimed = self._unclaimed(limit, tuning, tokens)
        if ask.permits is None:
            granted = min(room, max(unclaimed, int(min(self.door, _MANY) + _EPS)))
            pushed = max(0, granted - unclaimed)
            self.door -= pushed
            self.served -= pushed * self._cost(limit, tuning, tokens)
            self.pushed += pushed * self._cost(limit, tuning, tokens)
            return granted
        due = ask.permits.kind == "place" and ask.permits.value <= self.served + _EPS
        return room if due else min(room, unclaimed)

    def _unclaimed(self, limit: Limit, tuning: Tuning, tokens: float) -> int:
        """Calls in the buckets that nobody in the line came for."""
        rate_per_s = self._rate_per_s(limit, tuning)
        left = _MANY if math.isinf(rate_per_s) else self.calls - rate_per_s * tuning.tolerance_s / 2
        if tokens > 0 and limit.tpm is not None:
            depth = _token_depth(limit, tuning)
            enough = self.tokens >= min(depth, tokens + depth / 2) - _EPS
            left = min(left, max(1.0, (self.tokens - depth / 2) / tokens) if enough else 0.0)
        return max(0, int(left + _EPS))

    def _pace_per_s(self, limit: Limit, tuning: Tuning) -> float:
        """Positions that the line advances in a second, going by what walk-ins took lately."""
        line_per_s = self._line_per_s(limit, tuning)
        return max(line_per_s / 2, line_per_s - self.pushed / tuning.seen_s)

    def _until_s(self, limit: Limit, tuning: Tuning, position: float, blocked_s: float) -> float:
        """Seconds until the line's clock has come to a position, or the pause is over."""
        if self._is_unlimited(limit, tuning):
            behind = max(0.0, position - self.served - tuning.together)
            return max(_SHORTEST_S, blocked_s + behind / self._pace_per_s(limit, tuning))
        counts_s = 0.0 if self.opened else min(blocked_s, self.credit_s)
        turn_s = (position - self.served) / self._pace_per_s(limit, tuning)
        return max(_SHORTEST_S, blocked_s, blocked_s - counts_s + turn_s)

    def _deny(self, limit: Limit, tuning: Tuning, ask: Ask, tokens: float, reason: str, blocked_s: float) -> Decision:
        """Say when to come again."""
        deficit_s = self._deficit_s(limit, tuning, tokens)
        if ask.permits is None:
            if self.tail > self.served and reason == Denial.LIMIT:
                deficit_s = max(deficit_s, self._door_deficit_s(limit, tuning))
            return Decision(0, max(_SHORTEST_S, blocked_s, deficit_s), reason)
        # A place beyond the tail is one of a line that was forgotten.
        if ask.permits.kind == "place" and ask.permits.value <= self.tail:
            position = ask.permits.value
            if position <= self.served + _EPS:
                return self._send_back(limit, tuning, position, tokens, reason, blocked_s)
        else:
            position = max(self.tail, self.served + deficit_s * self._line_per_s(limit, tuning))
            self.tail = position + self._cost(limit, tuning, tokens)
        return Decision(0, self._until_s(limit, tuning, position, blocked_s), reason, "place", position)

    def _send_back(
        self, limit: Limit, tuning: Tuning, position: float, tokens: float, reason: str, blocked_s: float
    ) -> Decision:
        """For one who is due and finds no room."""
        if self._is_unlimited(limit, tuning):
            return Decision(0, max(_SHORTEST_S, blocked_s), reason, "place", position)
        deficit = self._deficit_s(limit, tuning, tokens) * self._line_per_s(limit, tuning)
        come = max(self.rear, self.served + deficit)
        self.rear = come + self._cost(limit, tuning, tokens)
        self.tail = max(self.tail, self.rear)  # newcomers come after them
        return Decision(0, self._until_s(limit, tuning, come, blocked_s), reason, "place", position)

    # ----------------------------------------------------------------------------------------------------------- AIMD

    def _judge(self, limit: Limit, tuning: Tuning, report: Report, *, refused: bool) -> None:
        """Count an answer, and judge the batch that it completes."""
        if self.at_s - report.latency_s < self.changed_s - _EPS:
            return  # it was sent at another rate
        if self.judging_s > tuning.judged_longest_s:
            self.accepted = self.refused = 0
            self.judging_s = 0.0
        self.refused += refused
        self.accepted += not refused
        answers = self.accepted + self.refused
        if answers < tuning.judged_calls or self.judging_s < tuning.judged_s - _EPS:
            return
        good_per_s = self.accepted / self.judging_s
        if self.refused > tuning.judged_share * answers:
            self._change(limit, tuning, good_per_s)
        else:
            self.earlier_good_per_s = 0.0
        self.accepted = self.refused = 0
        self.judging_s = 0.0

    def _change(self, limit: Limit, tuning: Tuning, good_per_s: float) -> None:
        """Lower the rate, or take the last lowering back when it brought nothing but less work."""
        if good_per_s < (1.0 - tuning.judged_share) * self.earlier_good_per_s:
            self.cap_per_s, self.earlier_good_per_s = self.earlier_per_s, 0.0
        else:
            self.earlier_per_s, self.earlier_good_per_s = self.cap_per_s, good_per_s
            rate_per_s = self._rate_per_s(limit, tuning)
            lower_per_s = tuning.decrease * (self._seen_per_s(tuning) if math.isinf(rate_per_s) else rate_per_s)
            self.cap_per_s = max(tuning.lowest_rate_per_s, lower_per_s, good_per_s)
        self.lowered_per_s, self.changed_s = self.cap_per_s, self.at_s

    def _recover(self, limit: Limit, tuning: Tuning, live_s: float) -> None:
        """Let the rate grow; when it has doubled, or is what is configured, nothing is left of the cap."""
        if math.isinf(self.cap_per_s):
            return
        low_per_s = self.lowered_per_s
        self.cap_per_s += live_s * low_per_s / max(tuning.recover_s, tuning.recover_calls / low_per_s)
        if self.cap_per_s >= min(2.0 * low_per_s, _per_s(limit.rpm, tuning)):
            self.cap_per_s = math.inf

    # ------------------------------------------------------------------------------------------------------- outcomes

    def _succeed(self, tuning: Tuning, report: Report) -> None:
        self.succeeded += 1
        if self.opened and self.at_s - report.latency_s >= self.open_until_s - _EPS:
            self.probed += 1
            if self.probed >= tuning.probes:
                self.opened = self.probing = self.probed = 0
                self.succeeded = self.failed = 0.0

    def _fail(self, tuning: Tuning, report: Report) -> None:
        self.failed += 1
        counted = self.succeeded + self.failed
        if self.opened:
            opens = self.at_s - report.latency_s >= self.open_until_s - _EPS  # else it was sent before
        else:
            opens = counted >= tuning.breaker_calls - _EPS and self.failed >= tuning.breaker_share * counted - _EPS
        if opens:
            self.opened += 1
            self.open_until_s = self.at_s + _doubled(tuning.open_s, self.opened, tuning.longest_backoff_s)
            self.probing = self.probed = 0

    def _throttle(self, limit: Limit, tuning: Tuning, account: Account, report: Report) -> Decision:
        """Pause, and put the call at the front of the line."""
        if self.opened:
            self.probing = max(0, self.probing - 1)
        if report.outcome is Outcome.ACCOUNT_THROTTLED:
            account.pause(tuning, report)
        else:
            self.strikes, self.paused_until_s = _struck(tuning, report, self.at_s, self.strikes, self.paused_until_s)
        blocked_s = max(0.0, self._blocked(account)[0] - self.at_s)
        return self._send_back(limit, tuning, self.served, self._usual_tokens(tuning), Denial.PAUSED, blocked_s)


def _struck(tuning: Tuning, report: Report, now_s: float, strikes: int, paused_until_s: float) -> tuple[int, float]:
    """What a refusal leads to: refusals in a row, and the end of the pause.

    A call that was sent before the last pause ended is one of those that the pause is about.
    """
    fresh = now_s - report.latency_s >= paused_until_s - _EPS
    strikes += fresh
    if report.wait_s is not None:
        return strikes, max(paused_until_s, now_s + min(report.wait_s, tuning.longest_pause_s))
    if not fresh:
        return strikes, paused_until_s
    return strikes, now_s + _doubled(tuning.pause_s, strikes, tuning.longest_backoff_s)


def _doubled(first_s: float, time: int, longest_s: float) -> float:
    return min(longest_s, first_s * 2.0 ** min(time - 1, 32))


def _per_s(allowed: float | None, tuning: Tuning) -> float:
    return math.inf if allowed is None else allowed / tuning.spread_s


def _token_depth(limit: Limit, tuning: Tuning) -> float:
    return math.inf if limit.tpm is None else max(1.0, _per_s(limit.tpm, tuning) * tuning.tolerance_s)


def _filled(level: float, more: float, depth: float) -> float:
    """A bucket after a while; without a limit nothing is counted."""
    return depth if math.isinf(depth) else min(depth, level + more)
