"""Records of event files, against TensorBoard's own."""

import io

import numpy as np
import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from kerasbn._events import records


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1023, 1024, 1025, 1027, 9999])
def test_record_is_that_of_tensorboard(size):
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = RecordWriter(theirs)
    for record in (b"one", np.random.default_rng(size).bytes(size)):
        records.write(ours, record)
        writer.write(record)
    writer.flush()
    assert ours.getvalue() == theirs.getvalue()


def test_what_was_cut_off_or_spoilt_ends_the_reading():
    file = io.BytesIO()
    for record in (b"first", b"second"):
        records.write(file, record)
    whole = file.getvalue()
    assert list(records.read(io.BytesIO(whole))) == [b"first", b"second"]
    for spoilt in (whole[:-1], whole[:-4] + b"none", whole[:30], whole[:22]):
        assert list(records.read(io.BytesIO(spoilt))) == [b"first"]
