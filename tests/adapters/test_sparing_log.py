import logging

import pytest

from jobctl.adapters.sparing_log import SparingLog

MORE = "and %d more"


def test_the_first_few_are_said_and_the_others_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = SparingLog(logging.getLogger("sparing"), MORE, most=2, every_s=60)
    for number in range(5):
        log.error("job %d is dead", number)
    log.close()
    log.close()

    assert caplog.messages == ["job 0 is dead", "job 1 is dead", "and 3 more"]


def test_after_a_while_lines_are_said_again_and_before_them_how_many_were_not(caplog: pytest.LogCaptureFixture) -> None:
    log = SparingLog(logging.getLogger("sparing"), MORE, most=1, every_s=0.0)
    log.error("a")
    log.error("b")

    assert caplog.messages == ["a", "b"]

    late = SparingLog(logging.getLogger("sparing"), MORE, most=0, every_s=60)
    late.error("c")
    late.close()

    assert caplog.messages == ["a", "b", "and 1 more"]
