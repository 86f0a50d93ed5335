import pytest
from hypothesis import given
from hypothesis import strategies as st
from rq.utils import utcparse

from jobctl.adapters.rq_time import epoch_s, rq_time


@given(st.floats(0, 4e9))
def test_rq_reads_what_is_written_and_so_do_we(instant_s: float) -> None:
    text = rq_time(instant_s)
    assert utcparse(text).timestamp() == pytest.approx(instant_s, abs=2e-6)
    assert epoch_s(text.encode()) == pytest.approx(instant_s, abs=2e-6)


@pytest.mark.parametrize("text", [None, b"", b"yesterday"])
def test_what_is_no_timestamp_is_nothing(text: bytes | None) -> None:
    assert epoch_s(text) is None
