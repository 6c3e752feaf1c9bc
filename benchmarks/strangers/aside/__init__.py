"""The third put aside: not to be read by those who write the rules."""

from benchmarks.strangers.aside import broken as broken
from benchmarks.strangers.aside import broken_more as broken_more
from benchmarks.strangers.aside import healthy as healthy
from benchmarks.strangers.aside import healthy_more as healthy_more
from benchmarks.strangers.aside import several as several

MODULES = [healthy, healthy_more, broken, broken_more, several]
