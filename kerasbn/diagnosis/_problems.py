"""What to do about each problem, what it costs to leave it, and who says so."""

from typing import Any, NamedTuple

from kerasbn.diagnosis._finding import Finding

_TUNING = (
    "https://github.com/google-research/tuning_playbook#how-can-"
    "optimization-failures-be-debugged-and-mitigated"
)
_BATCH_NORMALIZATION = "https://arxiv.org/abs/1502.03167"  # Ioffe and Szegedy
_HE = "https://arxiv.org/abs/1502.01852"


class Remedy(NamedTuple):
    """What to do about a problem.

    Attributes:
        sentence: What to do.
        patch: The code to change: lines that begin with "-" and "+".
        cost: What it costs to leave it.
        source: Who says so.
    """

    sentence: str
    patch: str
    cost: str
    source: str


REMEDIES = {
    "non_finite": Remedy(
        "Look for NaN and Inf in the data and for logarithms or divisions by "
        "zero in the loss; clip the gradients and go back to the last good "
        "weights when it happens.",
        "+ assert np.isfinite(x).all() and np.isfinite(y).all()\n"
        "- optimizer = keras.optimizers.Adam()\n"
        "+ optimizer = kerasbn.optimizers.adam()  # clipnorm=1.0\n"
        "+ callbacks=[kerasbn.callbacks.RecoverFromNonFinite()]",
        "Weights that are NaN stay NaN: the run is lost.",
        "https://arxiv.org/abs/2204.02311",
    ),
    "input_scale": Remedy(
        "Normalize the inputs in the first layer, or with a scaler before.",
        "  keras.Input(shape),\n"
        "+ kerasbn.layers.InputBatchNormalization(),\n"
        "# or, in Keras alone, before `fit`:\n"
        "+ normalization = keras.layers.Normalization()\n"
        "+ normalization.adapt(x)",
        "Large inputs make large activations and gradients, and the first "
        "layer's steps are wrong for all but the largest features.",
        "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf",
    ),
    "symmetric_units": Remedy(
        "Draw the kernels at random, so that units can differ.",
        '- kernel_initializer="zeros"\n+ kernel_initializer="he_normal"',
        "All units of a layer stay equal: it is as wide as one unit.",
        "https://www.deeplearningbook.org/contents/optimization.html",
    ),
    "exploding_gradient": Remedy(
        "Draw the kernels to fit the activation, normalize each hidden layer "
        "and clip the gradients.",
        "- kernel_initializer=...\n"
        '+ kernel_initializer="he_normal"  # "glorot_uniform" for tanh\n'
        "+ kerasbn.layers.BatchNormalization()  # before each activation\n"
        "- optimizer = keras.optimizers.Adam()\n"
        "+ optimizer = kerasbn.optimizers.adam()  # clipnorm=1.0\n"
        "# or the whole network: kerasbn.models.mlp(...)",
        "Steps are as wild as the gradients, up to NaN.",
        "https://arxiv.org/abs/1211.5063",
    ),
    "vanishing_gradient": Remedy(
        "Use an activation that does not saturate, kernels drawn to fit it, "
        "and batch normalization in each hidden layer.",
        '- keras.layers.Dense(units, activation="sigmoid")\n'
        "+ keras.layers.Dense(\n"
        '+     units, use_bias=False, kernel_initializer="he_normal")\n'
        "+ kerasbn.layers.BatchNormalization()\n"
        '+ keras.layers.Activation("elu")\n'
        "# or the whole network: kerasbn.models.mlp(...)",
        "The first layers stay as they were drawn.",
        _BATCH_NORMALIZATION,
    ),
    "saturated_activation": Remedy(
        "Bring the inputs of the activations back to the size of 1: batch "
        "normalization before them, or kernels drawn to fit.",
        "+ kerasbn.layers.BatchNormalization()  # before each activation\n"
        '+ kernel_initializer="glorot_uniform"',
        "Where an activation is flat no gradient passes.",
        "https://proceedings.mlr.press/v9/glorot10a.html",
    ),
    "dead_units": Remedy(
        "Use an activation with a gradient everywhere (ELU, leaky ReLU), "
        "start biases at 0, lower the learning rate or normalize.",
        '- activation="relu"\n+ activation="elu"\n'
        '+ bias_initializer="zeros"\n'
        "+ kerasbn.layers.BatchNormalization()  # before the activation",
        "Dead units get no gradient and do not come back.",
        "https://arxiv.org/abs/1903.06733",
    ),
    "learning_rate_too_high": Remedy(
        "Lower the learning rate ten times, and clip the gradients.",
        "- learning_rate={rate}\n+ learning_rate={lower}, clipnorm=1.0",
        "Each step throws away what the steps before have found.",
        _TUNING,
    ),
    "oscillating_loss": Remedy(
        "Lower the learning rate three times, or let it decay.",
        "- learning_rate={rate}\n"
        "+ learning_rate=keras.optimizers.schedules.CosineDecay(\n"
        "+     {rate}, decay_steps=epochs * len(x) // batch_size)",
        "The loss jumps over the minimum that it should go down to.",
        _TUNING,
    ),
    "clipping_always_on": Remedy(
        "Clip at the size of a spike, not of every gradient.",
        "- {set}\n+ {usual}",
        "Every step is cut down to almost nothing.",
        "https://arxiv.org/abs/2007.14469",
    ),
    "learning_rate_too_low": Remedy(
        "Raise the learning rate, ten times at a time.",
        "- learning_rate={rate}\n+ learning_rate={usual}",
        "The weights stay where they were drawn.",
        _TUNING,
    ),
    "batch_statistics_mismatch": Remedy(
        "Use statistics that settle sooner, or measure them after training.",
        "- keras.layers.BatchNormalization(momentum={momentum})\n"
        "+ kerasbn.layers.BatchNormalization()\n"
        "# or, for a model that is trained: kerasbn.calibrate(model, x)",
        "The network that is validated is not the one that was trained.",
        "https://arxiv.org/abs/2105.07576",
    ),
    "not_learning": Remedy(
        "Check that the targets belong to the inputs, and that the network "
        "can fit ten rows; then try a learning rate ten times as high and low.",
        "+ model.fit(x[:10], y[:10], epochs=200)  # must go to 0",
        "What it predicts is no better than a constant.",
        "https://karpathy.github.io/2019/04/25/recipe/",
    ),
}


def finding(
    problem: str,
    where: str,
    step: Any,
    severity: str,
    evidence: str,
    certain: bool = False,
    **blanks: Any,
) -> Finding:
    """A finding with the remedy of its problem, blanks of the patch filled."""
    remedy = REMEDIES[problem]
    return Finding(
        problem,
        where,
        int(step),
        severity,
        evidence,
        remedy.sentence,
        remedy.patch.format(**blanks) if blanks else remedy.patch,
        "certain" if certain else "likely",
        remedy.cost,
        remedy.source,
    )
