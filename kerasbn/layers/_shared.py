"""The counts and the checks that both layers share."""

from keras import ops


class CountsBatches:
    """The batches that a layer's statistics were taken from, and the others."""

    def _add_batch_counts(self):
        # One variable for both: one assignment a step.
        self.batches = self.add_weight(  # pyright: ignore
            name="batches",
            shape=(2,),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def _count(self, usable):
        seen = ops.cast(usable, "float32")
        self.batches.assign_add(ops.stack([seen, 1.0 - seen]))

    @property
    def seen_batches(self):
        """How many batches have moved the statistics."""
        return self.batches[0]

    @property
    def skipped_batches(self):
        """How many batches were left out of the statistics."""
        return self.batches[1]


def checked_momentum(momentum):
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(
            "`momentum` must lie between 0 and 1. "
            f"Received: momentum={momentum}. 0.99 keeps 99 % of the old "
            "statistics at each step."
        )
    return float(momentum)


def check_axis(axis, input_shape):
    rank = len(input_shape)
    if -rank <= axis < rank and axis % rank and input_shape[axis]:
        return
    raise ValueError(
        "`axis` must be an axis of the inputs, not that of the batch, whose "
        f"size is known. Received: axis={axis}, input_shape={input_shape}. "
        "Pass axis=-1 where the features come last."
    )
