"""Checksums and records of event files, against TensorBoard's own."""

import io

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.summary.writer.record_writer import RecordWriter

from kerasbn._events import records


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
    ids=["zeros", "ones"],
)
def test_checksum_is_that_of_rfc_3720(data, checksum):
    assert records.crc32c(data) == checksum


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1023, 1024, 1025, 1027, 9999])
def test_checksum_is_that_of_tensorboard(size):
    data = np.random.default_rng(size).bytes(size)
    assert records.crc32c(data) == pywrap_tensorflow.crc32c(data)


def test_record_is_that_of_tensorboard():
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = RecordWriter(theirs)
    for record in (b"", b"one", bytes(5000)):
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
