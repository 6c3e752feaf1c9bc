"""Parts that layers with moving statistics have in common."""

from keras import ops


class CountsBatches:
    """Updates of a layer's statistics that skip and count unusable batches."""

    def _add_batch_counts(self):
        # One variable for both counts makes one assignment a step.
        self.batches = self.add_weight(  # pyright: ignore
            name="batches",
            shape=(2,),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def _update(self, usable, *statistics):
        """Assign pairs of variable and value if `usable`, and count."""
        for variable, new in statistics:
            old = ops.convert_to_tensor(variable)
            variable.assign(ops.where(usable, new, old))
        seen = ops.cast(usable, "float32")
        self.batches.assign_add(ops.stack([seen, 1.0 - seen]))

    @property
    def seen_batches(self):
        """Number of batches that have updated the statistics."""
        return self.batches[0]

    @property
    def skipped_batches(self):
        """Number of batches left out of the statistics."""
        return self.batches[1]


def checked_momentum(momentum):
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(
            "`momentum` must lie between 0 and 1. "
            f"Received: momentum={momentum}. Pass 0.99 to keep 99 % of the old "
            "statistics at each step."
        )
    return float(momentum)


def check_axis(axis, input_shape):
    rank = len(input_shape)
    if -rank <= axis < rank and axis % rank and input_shape[axis]:
        return
    raise ValueError(
        "`axis` must be an axis of the inputs, of known size and not that of "
        f"the batch. Received: axis={axis}, input_shape={input_shape}. "
        "Pass axis=-1 where the features come last."
    )
