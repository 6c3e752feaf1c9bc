"""A second set put aside: not to be read by those who write the rules."""

from benchmarks.strangers.unseen import broken_ends as broken_ends
from benchmarks.strangers.unseen import broken_layers as broken_layers
from benchmarks.strangers.unseen import broken_values as broken_values
from benchmarks.strangers.unseen import healthy_heads as healthy_heads
from benchmarks.strangers.unseen import healthy_pictures as healthy_pictures
from benchmarks.strangers.unseen import healthy_rows as healthy_rows
from benchmarks.strangers.unseen import healthy_sequences as healthy_sequences
from benchmarks.strangers.unseen import several as several

MODULES = [
    broken_ends,
    broken_layers,
    broken_values,
    healthy_heads,
    healthy_pictures,
    healthy_rows,
    healthy_sequences,
    several,
]
