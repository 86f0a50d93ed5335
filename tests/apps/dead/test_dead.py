from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobctl.adapters.memory import MemoryDeadSet
from jobctl.apps.dead.dead import Selection, change, find, select, show, to_json
from jobctl.errors import InvalidOption
from jobctl.ports import DeadJob, DeadJobDetails

NOW_S = 10_000.0


def details(job_id: str, queue: str, job_type: str, died_s: float | None) -> DeadJobDetails:
    job = DeadJob(job_id, queue, job_type, died_s, 3, "5xx", "it broke")
    return DeadJobDetails(job, "json", 10, [1], {}, None, "", "Traceback", None, None, None)


@pytest.fixture
def dead() -> MemoryDeadSet:
    return MemoryDeadSet(
        [
            details("mail-1", "high", "app.mail.send", 1000.0),
            details("pay-1", "low", "app.pay", 2000.0),
            details("mail-2", "low", "app.mail.read", 9000.0),
            details("odd", "low", "", None),
        ],
        ["high", "low", "idle"],
    )


def chosen(dead: MemoryDeadSet, selection: Selection) -> list[str]:
    return [job.job_id for job in select(dead, selection, NOW_S)]


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        (Selection(), ["mail-2", "pay-1", "mail-1", "odd"]),
        (Selection(limit=2), ["mail-2", "pay-1"]),
        (Selection(queue="low"), ["mail-2", "pay-1", "odd"]),
        (Selection(queue="idle"), []),
        (Selection(job_type="app.pay"), ["pay-1"]),
        (Selection(job_type="app.mail.*"), ["mail-2", "mail-1"]),
        (Selection(older_than_s=8000.0), ["pay-1", "mail-1"]),  # 10,000 - 8,000 = 2,000: that one included
        (Selection(older_than_s=0.0), ["mail-2", "pay-1", "mail-1"]),
        (Selection("low", "app.*", 1.0, 1), ["mail-2"]),
    ],
)
def test_jobs_are_selected_over_all_queues_the_latest_first(
    selection: Selection, ids: list[str], dead: MemoryDeadSet
) -> None:
    assert chosen(dead, selection) == ids


def test_an_unknown_queue_is_refused_with_a_guess(dead: MemoryDeadSet) -> None:
    with pytest.raises(InvalidOption, match=r"^--queue: there is no queue 'hihg'; did you mean 'high'\?$"):
        chosen(dead, Selection(queue="hihg"))
    with pytest.raises(InvalidOption, match="known queues: high, idle, low"):
        chosen(dead, Selection(queue="x"))


def test_jobs_are_found_by_id_each_once_and_an_unknown_one_is_refused(dead: MemoryDeadSet) -> None:
    assert [job.job_id for job in find(dead, ["pay-1", "odd", "pay-1"])] == ["pay-1", "odd"]

    with pytest.raises(InvalidOption, match="JOB_ID: no dead job has the id 'nobody'; jobctl dead list"):
        find(dead, ["pay-1", "nobody"])


def test_a_job_is_shown_and_an_unknown_one_is_refused(dead: MemoryDeadSet) -> None:
    assert show(dead, "pay-1").job.job_type == "app.pay"

    with pytest.raises(InvalidOption, match="no dead job"):
        show(dead, "nobody")


def test_all_that_are_meant_are_changed_though_the_list_moves_meanwhile(dead: MemoryDeadSet) -> None:
    assert change(dead.retry, select(dead, Selection(queue="low"), NOW_S)) == (3, 0)
    assert dead.queued == {"high": [], "low": ["mail-2", "pay-1", "odd"], "idle": []}
    assert chosen(dead, Selection()) == ["mail-1"]


def test_jobs_that_somebody_else_changed_first_are_counted_apart(dead: MemoryDeadSet) -> None:
    jobs = list(select(dead, Selection(), NOW_S))
    dead.purge(jobs[:1])

    assert change(dead.purge, jobs) == (3, 1)


def test_many_jobs_are_changed_in_batches() -> None:
    batches: list[int] = []

    def count(jobs: Sequence[DeadJob]) -> int:
        batches.append(len(jobs))
        return len(jobs)

    assert change(count, [DeadJob(str(number), "q", "", None, 1, "", "") for number in range(1100)]) == (1100, 0)
    assert batches == [500, 500, 100]


def test_a_job_as_json_has_every_field(dead: MemoryDeadSet) -> None:
    document = to_json(show(dead, "pay-1"))

    assert document["job"]["died_s"] == 2000.0
    assert (document["encoding"], document["args"], document["traceback"]) == ("json", [1], "Traceback")
