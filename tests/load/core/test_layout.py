"""The structs of the core are the dtypes of the tally."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.client.core.layout import bucket, buckets, layout
from osmia.load.tally import RUN, SAMPLE, STEP
from osmia.model.histogram import BUCKETS, bucket_of


@pytest.mark.parametrize(("name", "dtype"), [("RUN", RUN), ("STEP", STEP), ("SAMPLE", SAMPLE)])
def test_each_field_lies_where_numpy_has_it(name: str, dtype: np.dtype[np.void]) -> None:
    """Size and offsets of every field, in both directions."""
    size, offsets = layout()[name]

    assert size == dtype.itemsize
    assert dtype.fields is not None
    assert offsets == {field: entry[1] for field, entry in dtype.fields.items()}


@given(st.integers(min_value=0, max_value=1 << 63))
def test_the_histogram_is_the_projects(latency_ns: int) -> None:
    """C and Python give each value the same bucket."""
    assert buckets() == BUCKETS
    assert bucket(latency_ns) == bucket_of(latency_ns)
