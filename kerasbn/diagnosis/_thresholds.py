"""Every threshold of the rules, with its reason."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits beyond which a number is a symptom.

    Without another reason, a limit separates the healthy from the faulty runs
    of the families that `benchmarks/diagnosis.py` tunes on.
    """

    # Steps before anything but NaN and contradictions is judged: Adam's moments
    # and the statistics of a batch normalization settle in some tens of steps.
    warm_up: int = 30
    # Share of a constant guess's loss above which nothing has been learnt.
    stuck: float = 0.95
    # Standard errors by which the slope of a falling loss differs from 0.
    trend: float = 3.0
    # Share of a constant guess's loss below which a symptom does no harm.
    learning: float = 0.25
    # Share of its first value by which a loss must have fallen, where that of a
    # constant guess is not known.
    fallen: float = 0.02
    # Share of the planned steps in which a network just begins to learn.
    beginning: float = 0.4
    # Share of the planned steps after which a loss that has not fallen is not
    # going to: deep networks take a while to start.
    patience: float = 0.15
    # Update of a kernel over its norm. 1e-3 is the rule of thumb, and Adam's
    # first steps reach 1e-2 at its default rate.
    overturned: float = 0.25
    # The same, summed over all planned steps as if in one direction.
    travel: float = 0.05
    # First loss over that of a constant guess, of weights trained before.
    trained: float = 0.7
    # Rate of an adaptive optimizer that is too low whatever else is wrong.
    tiny_rate: float = 1e-5
    # Decades between the RMS gradients of the last and the first layers.
    decades: float = 2.5
    # Share of the largest RMS gradient below which a kernel starves.
    starved: float = 1e-4
    # Decades by which all kernels together scale their inputs.
    gains: float = 2.5
    # Factor of the state from step to step; Gaussian kernels of He have 1.4.
    recurrent_gain: float = 1.7
    # Share of units never active over 256 rows. Healthy ReLU layers have up to
    # 0.4 of them.
    dead: float = 0.7
    # Share of outputs on the flat part of an activation.
    saturated: float = 0.6
    # RMS of inputs, or their mean in deviations, that nothing normalizes.
    input_scale: float = 30.0
    # RMS of inputs that are too small for the initial weights.
    input_scale_tiny: float = 1e-3
    # Largest over smallest deviation of features that nothing normalizes.
    input_spread: float = 1e3
    # RMS of targets of a linear output, in training that suffers; and before
    # training, where steps grow with the gradient and where they do not.
    target_scale: float = 10.0
    target_scale_before: tuple[float, float] = (30.0, 100.0)
    # Share of the rarest class before training is told of it.
    rare: float = 0.04
    # Share of the most frequent class, and of rare rows that are recognized.
    majority: float = 0.8
    rare_found: float = 0.4
    # Share of a class beyond which it is predicted whatever the inputs say.
    majority_always: float = 0.95
    # First loss over that of a constant guess; less where it is high, too.
    far_off: float = 30.0
    far_off_ratio: float = 4.0
    far_off_loss: float = 8.0
    # Decades between gradients that an adaptive optimizer does not even out.
    decades_adaptive: float = 6.0
    # Loss of one batch in inference minus that in training, over a guess's.
    lag: float = 0.25
    # Share of the targets' variance that a cheap model finds in the inputs.
    learnable: float = 0.1
    # How much more of that a cheap model must find than a linear network.
    underfits: float = 0.25
    # Validation loss over the lowest one before.
    overfits: float = 1.3
    # Share of a gradient's norm that clipping leaves.
    clipped: float = 0.05
    # Share of their initial values in moving statistics after training.
    cold: float = 0.5
    # Deviations between moving and batch statistics after warming up.
    distance: float = 2.0
    # Deviation of the loss between readings, over its mean.
    oscillation: float = 0.5


LIMITS = Limits()
