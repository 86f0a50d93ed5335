from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobctl.core.records import JobRecord, Outcome
from jobctl.core.summary import Counts, Load, Window, conserved, count_outcomes, summarise

WINDOW = Window(10.0, 20.0)


def job(
    intended_s: float,
    enqueued_s: float | None = None,
    started_s: float | None = None,
    finished_s: float | None = None,
    outcome: Outcome = Outcome.FINISHED,
    successes: int = 1,
) -> JobRecord:
    return JobRecord("", "job", intended_s, enqueued_s, started_s, finished_s, outcome, successes=successes)


@st.composite
def records(draw: st.DrawFn) -> JobRecord:
    """A job that got as far as its outcome says, on quarters of a second so that instants often coincide."""
    quarters = st.integers(0, 40).map(lambda number: number / 4)
    outcome = draw(st.sampled_from(Outcome))
    intended_s = draw(quarters) + 5
    if outcome is Outcome.REJECTED:
        return job(intended_s, outcome=outcome, successes=0)
    enqueued_s = intended_s + draw(quarters) / 10
    started_s = enqueued_s + draw(quarters)
    finished_s = started_s + draw(quarters)
    successes = draw(st.integers(0, 2))
    if outcome in {Outcome.FINISHED, Outcome.FAILED}:
        return job(intended_s, enqueued_s, started_s, finished_s, outcome, successes)
    return job(intended_s, enqueued_s, draw(st.sampled_from([None, started_s])), None, outcome, successes)


RUNS = st.lists(records(), max_size=40)


@given(RUNS)
def test_every_scheduled_job_is_counted_in_exactly_one_place(run: list[JobRecord]) -> None:
    counts = summarise(run, WINDOW, slots=4).counts
    assert counts.scheduled == len(run)
    assert conserved(counts)
    for name, outcome in [("finished", Outcome.FINISHED), ("lost", Outcome.LOST), ("in_flight", Outcome.IN_FLIGHT)]:
        assert getattr(counts, name) == sum(record.outcome is outcome for record in run)
    assert counts.duplicated == sum(record.successes > 1 for record in run)


def test_jobs_that_a_fault_struck_say_nothing_of_the_load_unless_all_were_struck() -> None:
    """Ten jobs of 1 s in 10 s, five of which a frozen worker held for 20 s."""
    run = [job(10.5 + n, 10.5 + n, 10.5 + n, 11.5 + n + 20 * (n < 5)) for n in range(10)]
    for struck, mean_s in [
        (lambda record: False, 11.0),
        (lambda record: record.intended_s < 15.0, 1.0),
        (lambda record: True, 11.0),
    ]:
        summary = summarise(run, WINDOW, 4, struck)
        assert summary.load is not None
        assert summary.load.erlangs == pytest.approx(mean_s)
        assert summary.service.mean == pytest.approx(11.0)


def test_books_that_do_not_balance_are_noticed() -> None:
    balanced = count_outcomes([job(1, 1, 1, 2), job(1, outcome=Outcome.REJECTED)])
    assert conserved(balanced)
    changes: list[Callable[[Counts], Counts]] = [
        lambda counts: replace(counts, scheduled=counts.scheduled + 1),
        lambda counts: replace(counts, finished=counts.finished + 1),
        lambda counts: replace(counts, lost=counts.lost + 1),
        lambda counts: replace(counts, rejected=counts.rejected - 1),
    ]
    assert not any(conserved(change(balanced)) for change in changes)


def test_a_job_belongs_to_the_window_by_its_intended_arrival_alone() -> None:
    run = [
        job(9.999, 10.5, 11, 12),  # intended in the warm-up, everything else inside
        job(10.0, 10.1, 11, 12),  # the very start belongs to it
        job(19.999, 25, 26, 30),  # intended inside, enqueued and finished after it
        job(20.0, 20.1, 21, 22),  # the very end does not
    ]
    summary = summarise(run, WINDOW, slots=4)
    assert (summary.offered_jobs, summary.achieved_jobs) == (2, 2)
    assert (len(summary.wait), len(summary.service), len(summary.sojourn)) == (2, 2, 2)
    assert summary.sojourn.max == pytest.approx(30 - 19.999)
    assert summary.counts.scheduled == 4
    assert len(summary.schedule_lag) == 4
    assert (summary.offered_per_s, summary.achieved_per_s) == (0.2, 0.2)


def test_only_jobs_that_finished_count_as_achieved() -> None:
    run = [job(11, 11, 11, 12), job(11, 11, 11, 12, Outcome.FAILED), job(11, 11, None, None, Outcome.LOST)]
    summary = summarise(run, WINDOW, slots=4)
    assert (summary.offered_jobs, summary.achieved_jobs) == (3, 1)


def test_service_is_of_finished_jobs_wait_of_first_attempts_and_sojourn_of_every_job_that_ended() -> None:
    retried = replace(job(13, 13, 18, 19), retries=1)
    run = [
        job(11, 11, 11, 13),
        job(12, 12, 14, 14.5, Outcome.FAILED),
        retried,
        job(14, 14, 14, None, Outcome.IN_FLIGHT),
    ]
    summary = summarise(run, WINDOW, slots=4)
    assert (len(summary.service), summary.service.mean) == (2, 1.5)
    assert (len(summary.wait), summary.wait.max) == (3, 2)
    assert (len(summary.sojourn), summary.sojourn.max) == (3, 6)


def test_the_load_is_the_offered_rate_times_the_mean_service_of_finished_jobs() -> None:
    run = [job(10 + number, 10 + number, 10 + number, 13 + number) for number in range(10)]
    load = summarise(run, WINDOW, slots=4).load
    assert load == Load(3.0, 4, 10, 0.0)
    assert (load.at_most_erlangs, load.relaxation) == (3.0, 0.0)
    assert summarise(run, WINDOW, slots=None).load is None
    assert summarise([job(11, 11, 12, 13, Outcome.FAILED)], WINDOW, slots=4).load is None


def test_a_load_is_less_certain_the_fewer_and_the_more_uneven_its_jobs() -> None:
    assert Load(1.0, 2, 200, 2.0).at_most_erlangs == pytest.approx(math.exp(1.645 * 0.1), rel=1e-3)
    assert Load(1.0, 2, 50, 2.0).at_most_erlangs == pytest.approx(math.exp(1.645 * 0.2), rel=1e-3)


def test_a_queue_remembers_the_longer_the_fuller_its_slots() -> None:
    assert Load(0.8, 1, 10**9, 2.0).relaxation == pytest.approx(2 / 0.2**2, rel=1e-2)
    assert Load(0.8, 1, 50, 2.0).relaxation == math.inf  # so few jobs may hide a load of 1.27
    assert Load(5.0, 50, 140, 2.0).relaxation == 0  # nobody waits


def test_every_attempt_that_ended_counts_and_those_of_a_retried_job_but_the_last_failed() -> None:
    run = [
        job(11, 11, 12, 13),
        replace(job(11, 11, 12, 13), retries=2),
        replace(job(11, 11, 12, 13, Outcome.FAILED), retries=4),
        replace(job(11, 11, 12, outcome=Outcome.IN_FLIGHT), retries=1),
        job(11, outcome=Outcome.REJECTED),
    ]
    counts = count_outcomes(run)

    assert (counts.attempts, counts.failed_attempts) == (1 + 3 + 5 + 1, 2 + 5 + 1)


def present(record: JobRecord, instant_s: float) -> bool:
    """Whether a job holds a slot at an instant."""
    if record.started_s is None or (record.finished_s is None and record.outcome is not Outcome.IN_FLIGHT):
        return False
    return record.started_s <= instant_s < (math.inf if record.finished_s is None else record.finished_s)


@given(RUNS)
def test_utilisation_is_the_integral_of_busy_slots(run: list[JobRecord]) -> None:
    # Instants lie on a grid of 1/40 s, so a midpoint sum over that grid is exact.
    step_s = 1 / 40
    midpoints = [WINDOW.start_s + (number + 0.5) * step_s for number in range(400)]
    busy_s = sum(present(record, instant_s) for instant_s in midpoints for record in run) * step_s
    assert summarise(run, WINDOW, slots=4).utilisation == pytest.approx(busy_s / (4 * WINDOW.length_s), abs=1e-9)


def test_a_job_lost_while_it_ran_does_not_hold_its_slot_for_ever() -> None:
    summary = summarise([job(10, 10, 10, None, Outcome.LOST)], WINDOW, slots=1)
    assert summary.utilisation == 0
    assert summarise([job(10, 10, 10, None, Outcome.IN_FLIGHT)], WINDOW, slots=1).utilisation == 1


def test_slots_that_failed_attempts_held_were_busy_too() -> None:
    """Of 20 slot seconds the last attempts held 1 each, and earlier ones of the window's job 3."""
    inside = replace(job(11, 11, 14, 15), retries=2, failed_s=3.0)
    before = replace(job(9, 9, 15, 16), retries=1, failed_s=5.0)

    assert summarise([inside, before], WINDOW, slots=2).utilisation == pytest.approx((1 + 3 + 1) / 20)


def test_utilisation_is_unknown_where_the_slots_are() -> None:
    assert summarise([job(11, 11, 11, 12)], WINDOW, slots=None).utilisation is None


def waiting(run: list[JobRecord], instant_s: float, *, before_starts: bool) -> int:
    """Jobs enqueued and not started at an instant, before or after the starts of that instant."""
    total = 0
    for record in run:
        if record.enqueued_s is None or record.enqueued_s > instant_s:
            continue
        left_s = record.started_s if record.started_s is not None else record.finished_s
        if left_s is None or left_s > instant_s or (before_starts and left_s == instant_s):
            total += 1
    return total


@given(RUNS)
@example([job(10.0, 10.0, 20.0, 21.0)])  # from the window's very start to its very end
def test_the_backlog_is_what_a_count_at_every_instant_finds(run: list[JobRecord]) -> None:
    backlog = summarise(run, WINDOW, slots=4).backlog
    length = len(backlog.series)
    grid = [WINDOW.start_s + WINDOW.length_s * number / (length - 1) for number in range(length)]
    assert backlog.series == tuple(waiting(run, instant_s, before_starts=False) for instant_s in grid)
    arrivals = [record.enqueued_s for record in run if record.enqueued_s and record.enqueued_s >= WINDOW.start_s]
    assert backlog.max == max(
        waiting(run, WINDOW.start_s, before_starts=False),
        *(waiting(run, instant_s, before_starts=True) for instant_s in [*arrivals, 1e9]),
    )


def test_a_stall_shows_as_a_backlog_that_builds_and_drains() -> None:
    # Two a second from 10 s on, nothing starts from 12 s to 17 s, then all that wait start at once.
    run = [
        job(10 + number / 2, 10 + number / 2, started_s, started_s + 0.1)
        for number in range(20)
        for started_s in [17.0 if 12 <= 10 + number / 2 < 17 else 10 + number / 2]
    ]
    backlog = summarise(run, WINDOW, slots=4).backlog
    assert backlog.max == 11  # ten of the stall, and one that arrives as they start
    assert max(backlog.series) == 10
    assert backlog.series[-1] == 0


def test_a_backlog_that_grows_steadily_has_its_growth_as_its_slope() -> None:
    run = [job(10 + number / 10, 10 + number / 10, None, None, Outcome.IN_FLIGHT) for number in range(100)]
    assert summarise(run, WINDOW, slots=4).backlog.slope_per_s == pytest.approx(10.0, rel=0.01)


def test_a_run_without_jobs_has_no_figures_and_no_error() -> None:
    summary = summarise([], WINDOW, slots=4)
    assert (summary.wait.mean, summary.utilisation, summary.offered_per_s) == (None, 0.0, 0.0)
    assert (summary.backlog.max, summary.backlog.slope_per_s) == (0, 0.0)


def test_a_start_before_its_arrival_never_makes_the_backlog_negative() -> None:
    summary = summarise([job(11, 11.2, 11.1, 12)], WINDOW, slots=4)  # clocks that disagree
    assert min(summary.backlog.series) == 0
    assert summary.wait.clipped == 1


def test_a_load_of_a_few_wild_gaps_has_a_bound_that_is_a_number() -> None:
    assert Load(erlangs=0.0, slots=5, jobs=3, variability=1e6).at_most_erlangs == 0.0
    assert Load(erlangs=1.0, slots=5, jobs=3, variability=1e6).relaxation == math.inf
