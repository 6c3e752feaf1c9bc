"""The third put aside: not to be read by those who write the rules."""

from benchmarks.strangers.aside import broken as broken
from benchmarks.strangers.aside import broken_more as broken_more
from benchmarks.strangers.aside import broken_numbers as broken_numbers
from benchmarks.strangers.aside import healthy as healthy
from benchmarks.strangers.aside import healthy_data as healthy_data
from benchmarks.strangers.aside import healthy_losses as healthy_losses
from benchmarks.strangers.aside import healthy_more as healthy_more
from benchmarks.strangers.aside import several as several

MODULES = [
    broken,
    broken_more,
    broken_numbers,
    healthy,
    healthy_data,
    healthy_losses,
    healthy_more,
    several,
]
