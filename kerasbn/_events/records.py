"""The records that an event file is made of.

TensorBoard has a writer and a reader of records, but its checksum is computed
byte by byte in Python: 0.3 ms for a reading of a 50-layer network, 14 ms for a
heat map, while training waits for the interpreter. The C library takes 0.3 and
1.6 microseconds. TensorBoard's reader also raises where a record is cut off.
"""

from collections.abc import Iterator
from typing import IO

import google_crc32c


def write(file: IO[bytes], record: bytes) -> None:
    """Write one record: its length, its bytes, and the checksums of both."""
    length = len(record).to_bytes(8, "little")
    file.write(length + _masked(length) + record + _masked(record))
    file.flush()


def read(file: IO[bytes]) -> Iterator[bytes]:
    """Return the whole records; stop quietly at one that is cut off."""
    while len(header := file.read(12)) == 12:
        if _masked(header[:8]) != header[8:]:
            return  # before a length is believed
        record = file.read(int.from_bytes(header[:8], "little"))
        if _masked(record) != file.read(4):
            return
        yield record


def _masked(data):
    value = google_crc32c.value(data)
    rotated = value >> 15 | value << 17
    return ((rotated + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
