"""Every threshold of the rules, with its reason."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Thresholds that say when a number is a symptom.

    Without another reason they stand between the healthy and the faulty runs of
    the families that `benchmarks/diagnosis.py` tunes on.
    """

    # Steps before anything but NaN and contradictions is judged: Adam's moments
    # and the statistics of a batch normalization settle in some tens of steps.
    warm_up: int = 30
    # Of the loss of a constant guess: who is above it has learnt nothing.
    stuck: float = 0.95
    # Standard errors that the slope of a loss is from none.
    trend: float = 3.0
    # Of the same: below it a symptom does no harm worth a finding.
    learning: float = 0.25
    # Share of the planned steps before a loss that does not fall is one that
    # will not: deep networks wait before they start.
    patience: float = 0.15
    # A step that moves a kernel by this share of its norm overturns it; 1e-3 is
    # the rule of thumb, 1e-2 what Adam's first steps do at its default rate.
    overturned: float = 0.25
    # What all planned steps together move a kernel by, were they all in one
    # direction: less than this is no training.
    travel: float = 0.05
    # Decades of RMS gradient between the last and the first layers.
    decades: float = 2.5
    # A kernel with less than this share of the largest RMS gradient starves.
    starved: float = 1e-4
    # Gains of the kernels multiplied over depth, in decades.
    gains: float = 2.5
    # Start of the loss over that of a constant guess.
    start: float = 30.0
    # Share of units never active over 256 rows. Healthy ReLU layers have up to
    # 0.4 of them.
    dead: float = 0.7
    # Share of outputs on the flat part.
    saturated: float = 0.6
    # RMS of inputs, or their mean in deviations, that nothing normalizes.
    input_scale: float = 30.0
    # Largest over smallest deviation of features that nothing normalizes.
    input_spread: float = 1e3
    # Clipped to less than this share of the gradient at every reading.
    clipped: float = 0.05
    # What the moving statistics keep of their start at the end of training.
    cold: float = 0.5
    # Deviations between moving and batch statistics after warming up.
    distance: float = 2.0
    # Deviation of the loss between windows, over its mean.
    oscillation: float = 0.5


LIMITS = Limits()
