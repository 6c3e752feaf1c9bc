"""Checks of the arguments that the layers have in common."""


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
