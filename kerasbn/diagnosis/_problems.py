"""Every problem: its effects, remedies, cost and source."""

from typing import NamedTuple


class Problem(NamedTuple):
    """A problem that a run may have.

    Attributes:
        effects: Problems that it brings about, which are not reported with it.
        remedies: Names of remedies. The other fields are as in a `Finding`.
    """

    effects: frozenset[str]
    remedies: tuple[str, ...]
    cost: str
    source: str


_TUNING = (
    "https://github.com/google-research/tuning_playbook#how-can-"
    "optimization-failures-be-debugged-and-mitigated"
)
_SLOW = frozenset({"not_learning", "learning_rate_too_low"})
_STALLED = _SLOW | {"oscillating_loss", "vanishing_gradient"}
_STALLED |= {"clipping_always_on", "class_imbalance", "no_gradient"}
_BROKEN = _STALLED | {"dead_units", "saturated_activation"}
_WILD = _BROKEN | {"exploding_gradient", "learning_rate_too_high"}
# Of a loss that measures the wrong thing: it does not change the network.
_MISLED = frozenset(
    {"not_learning", "oscillating_loss", "learning_rate_too_high"}
)

# In the order to deal with them.
PROBLEM = {
    "target_shape": Problem(
        _MISLED,
        ("reshape_targets",),
        "Each row is taught the targets of all the others, so the network "
        "predicts their mean.",
        "https://keras.io/api/losses/",
    ),
    "output_mismatch": Problem(
        _MISLED,
        ("output",),
        "The loss does not measure what the network should learn.",
        "https://developers.google.com/machine-learning/guides/"
        "text-classification/step-4",
    ),
    "non_finite": Problem(
        _SLOW | {"oscillating_loss", "class_imbalance"},
        ("finite_data", "clipping", "learning_rate", "recover"),
        "Weights that become NaN stay NaN, and the run is lost.",
        "https://arxiv.org/abs/2204.02311",
    ),
    "symmetric_units": Problem(
        _WILD,
        ("initializer",),
        "Units that start equal stay equal, and the layer acts as one unit.",
        "https://www.deeplearningbook.org/contents/optimization.html",
    ),
    "input_scale": Problem(
        # Scaled inputs alone would not bring a gradient through many sigmoids.
        _WILD - {"vanishing_gradient"},
        ("normalize_inputs",),
        "The steps of the first layer suit only the largest features.",
        "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf",
    ),
    "target_scale": Problem(
        _WILD - {"vanishing_gradient", "no_gradient", "dead_units"},
        ("scale_targets",),
        "The output layer has to grow before anything else is learnt, and the "
        "gradients are as large as the targets.",
        "https://developers.google.com/machine-learning/crash-course/"
        "numerical-data/normalization",
    ),
    "exploding_gradient": Problem(
        _WILD,
        ("initializer", "clipping"),
        "The steps are as wild as the gradients, and the loss may become NaN.",
        "https://arxiv.org/abs/1211.5063",
    ),
    "learning_rate_too_high": Problem(
        _BROKEN,
        ("learning_rate",),
        "Each step overwrites what the steps before it have learnt.",
        _TUNING,
    ),
    "saturated_activation": Problem(
        _STALLED,
        ("initializer", "normalize_hidden"),
        "Almost no gradient passes through the flat part of an activation.",
        "https://proceedings.mlr.press/v9/glorot10a.html",
    ),
    "dead_units": Problem(
        _STALLED,
        ("initializer", "activation"),
        "A dead unit gets no gradient and rarely recovers.",
        "https://arxiv.org/abs/1903.06733",
    ),
    "no_gradient": Problem(
        _STALLED,
        ("differentiable",),
        "What no gradient reaches keeps its initial weights.",
        "https://arxiv.org/abs/1308.3432",
    ),
    "vanishing_gradient": Problem(
        _BROKEN,
        ("initializer", "normalize_hidden", "activation"),
        "The first layers hardly move from their initial weights.",
        "https://arxiv.org/abs/1502.03167",
    ),
    "clipping_always_on": Problem(
        _SLOW,
        ("clipping",),
        "Every step is cut down to almost nothing.",
        "https://arxiv.org/abs/2007.14469",
    ),
    "class_imbalance": Problem(
        _SLOW | {"oscillating_loss"},
        ("class_weight", "output_bias", "watch_recall"),
        "The loss falls without a single rare row being recognized.",
        "https://www.tensorflow.org/tutorials/structured_data/imbalanced_data",
    ),
    "learning_rate_too_low": Problem(
        frozenset({"not_learning"}),
        ("learning_rate",),
        "The weights hardly move from where they started.",
        _TUNING,
    ),
    "oscillating_loss": Problem(
        frozenset({"not_learning"}),
        ("learning_rate", "decay"),
        "The loss jumps across the minimum instead of settling in it.",
        _TUNING,
    ),
    "batch_statistics_mismatch": Problem(
        frozenset(),
        ("statistics", "calibrate"),
        "At inference the network differs from the one that was trained.",
        "https://arxiv.org/abs/2105.07576",
    ),
    "not_learning": Problem(
        frozenset(),
        (
            "check_targets",
            "normalize_inputs",
            "initializer",
            "normalize_hidden",
        ),
        "The predictions are no better than a constant.",
        "https://karpathy.github.io/2019/04/25/recipe/",
    ),
    "overfitting": Problem(
        frozenset(),
        ("regularize",),
        "New data are predicted worse than some epochs ago.",
        "https://www.deeplearningbook.org/contents/ml.html",
    ),
    "underfitting": Problem(
        frozenset(),
        ("enlarge",),
        "No weights of this network can fit the data.",
        "https://www.deeplearningbook.org/contents/ml.html",
    ),
    "dead_bias": Problem(
        frozenset(),
        ("drop_bias",),
        "The biases take memory and never learn.",
        "https://arxiv.org/abs/1502.03167",
    ),
}
PROBLEMS = tuple(PROBLEM)
