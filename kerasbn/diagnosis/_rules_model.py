"""Rules about how a network is built, for the data that it is given."""

import math
from collections.abc import Iterator

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._remedies import Named
from kerasbn.diagnosis._rules_output import contradictions
from kerasbn.diagnosis._symptoms import Symptoms
from kerasbn.diagnosis._thresholds import LIMITS


def poisoned_data(symptoms: Symptoms) -> Iterator[Finding]:
    named = [("inputs", each) for each in symptoms.inputs]
    named += [("targets", each) for _, each, _ in symptoms.heads if each]
    for where, numbers in named:
        if not numbers["not_finite"]:
            continue
        rows = numbers["not_finite_rows"]
        # Those that a monitor has seen are in the order of training.
        which = f", the first of them row {rows[0]}" if symptoms.fresh else ""
        remedy = Named("keep_rows", rows=rows) if symptoms.fresh else ""
        many = numbers["not_finite"] > symptoms.run.data["rows"] / 2
        if many and where == "inputs":
            remedy = "finite_inputs"
        yield Finding(
            problem="non_finite",
            where=where,
            step=0,
            severity="fatal",
            evidence=f"{numbers['not_finite']} of {symptoms.run.data['rows']} "
            f"rows of the {where} hold NaN or Inf{which}.",
            confidence="certain",
            remedies=(remedy or "finite_data",),
        )


def symmetric_units(symptoms: Symptoms) -> Iterator[Finding]:
    drawn = [e for e in symptoms.layers if "identical_units" in e][:-1]
    same = [each["path"] for each in drawn if each["identical_units"]]
    if same and len(same) > len(drawn) / 2:
        yield Finding(
            problem="symmetric_units",
            where=same[0],
            step=0,
            severity="fatal",
            evidence="All units of a layer start with the same weights in "
            f"{len(same)} of {len(drawn)} hidden layers.",
            confidence="certain",
        )


def no_gradient(symptoms: Symptoms) -> Iterator[Finding]:
    here = Finding(
        problem="no_gradient",
        where="",
        step=min(1, symptoms.last_step),
        severity="fatal",
        evidence="",
    )
    flat = [
        each > limit
        for measure, limit in (
            ("dead_units", LIMITS.dead),
            ("saturation", LIMITS.saturated),
        )
        for each in symptoms.units(measure).values()
    ]
    sizes = [e["size"] for e in symptoms.run.data.get("arrivals", {}).values()]
    wild = symptoms.gains > LIMITS.gains or any(
        size > LIMITS.input_scale for size in sizes
    )
    if not wild and not any(flat):  # those end gradients, too
        here = here._replace(confidence="certain")
    for layer in symptoms.layers:
        if layer.get("normalizes_one"):
            yield here._replace(
                where=layer["path"],
                step=0,
                remedies=(Named("remove", layers=[layer["path"]]),),
                evidence="This normalization takes the mean and the deviation "
                "of a single number, so its output is the same for every row, "
                "and no gradient passes it.",
            )
            return
    lost = _without_gradient(symptoms)
    kernels = [symptoms.run.paths[column] for column in symptoms.kernels]
    if not lost or kernels[0] not in lost:
        return
    layers = [path.rpartition("/")[0] or path for path in kernels]
    if len(lost) == len(kernels):
        yield here._replace(
            where=layers[-1],
            evidence="No gradient reaches any kernel. Behind the last layer, "
            "or in the loss, is an operation without a gradient, such as "
            "rounding, a comparison or argmax.",
        )
        return
    first = next(i for i, path in enumerate(kernels) if path not in lost)
    remedy = Named(
        "differentiable", before=layers[first - 1], after=layers[first]
    )
    yield here._replace(
        remedies=(remedy,),
        where=layers[0],
        evidence=f"No gradient reaches {len(lost)} of {len(kernels)} kernels. "
        f"It is lost between {layers[first - 1]!r} and {layers[first]!r}, in "
        "an operation without a gradient, such as rounding, a comparison, "
        "argmax or stop_gradient.",
    )


def _without_gradient(symptoms):
    """Kernels whose gradient has been exactly 0, or none, at every step.

    Before training a zero may come from a gate or a branch that starts at
    0 and opens with the first step.
    """
    tables, paths = symptoms.run.tables, symptoms.run.paths
    if symptoms.fresh:
        norms, weights = tables["gradient_rms"][0], tables["weight_norm"][0]
        known = np.isfinite(norms)
        if not known.any() and not math.isfinite(symptoms.start_loss):
            return set()
        closed = any(
            weights[i] == 0.0 and not path.endswith(("bias", "beta"))
            for i, path in enumerate(paths)
            if known[i] and norms[i] > 0.0
        )
        lost = ~known if closed else ~known | (norms == 0.0)
    else:
        if symptoms.last_step < 2 or not symptoms.finite.all():
            return set()
        lost = (tables["gradient_norm_max"] == 0.0).all(axis=0)
    return {paths[i] for i in symptoms.kernels if lost[i]}


def input_scale(symptoms: Symptoms) -> Iterator[Finding]:
    arrivals = symptoms.run.data.get("arrivals", {})
    behind = [(f"of {path!r}", each) for path, each in arrivals.items()]
    if not arrivals and symptoms.model.get("normalizes_inputs") is False:
        behind = [("of the model", each) for each in symptoms.inputs]
    if not behind or not (symptoms.fresh or symptoms.lags):
        return
    where, worst = max(behind, key=lambda each: each[1]["size"])
    uneven = worst["size"] > 3.0 and worst["spread"] >= LIMITS.input_spread
    tiny = worst["size"] < LIMITS.input_scale_tiny
    if worst["size"] >= LIMITS.input_scale or uneven or tiny:
        yield Finding(
            problem="input_scale",
            where="inputs",
            step=0,
            severity="serious",
            evidence=f"The inputs {where} are not normalized. Their RMS is "
            f"{worst['rms']:.3g} (1 is usual); the means of the features reach "
            f"{worst['offset']:.3g}, their typical deviation is "
            f"{worst['deviation']:.3g}, and the largest deviation is "
            f"{worst['spread']:.3g} times the smallest."
            + _unadapted(symptoms)
            * bool(arrivals),
            remedies=_scaling(symptoms, where),
        )


def _scaling(symptoms, where):
    """What scales the inputs, of several those that are joined there."""
    layer = _normalization(symptoms)
    if layer:
        return (Named("adapt", layer=layer),)
    if len(symptoms.inputs) > 1 and where.startswith("of '"):
        return (Named("normalize_inputs", before=where[4:-1]),)
    return ()


def _normalization(symptoms):
    kinds = {each["type"]: each["path"] for each in symptoms.layers}
    return kinds.get("Normalization", "")


def _unadapted(symptoms):
    """A sentence about a layer that should have scaled them."""
    layer = _normalization(symptoms)
    if layer:
        return (
            f" {layer!r} is there to scale them and has no "
            "statistics of them: it was not adapted."
        )
    return ""


def _starts_far_off(symptoms):
    """Whether the first loss is many times that of a constant guess."""
    if any(seen and seen["varies"] == 0.0 for *_, seen in symptoms.heads):
        return False  # a constant is no explosion
    guess = symptoms.constant_loss
    start = symptoms.start_loss - symptoms.penalty
    if not guess or not math.isfinite(start):
        return False
    ratio = start / guess
    return start > 3.0 and (
        ratio > LIMITS.far_off
        or (ratio > LIMITS.far_off_ratio and start > LIMITS.far_off_loss)
    )


def kernel_scale(symptoms: Symptoms) -> Iterator[Finding]:
    gains = symptoms.gains
    evidence = (
        "From the first layer to the last the kernels multiply their inputs "
        f"by {10**gains:.1g} (about 1 is usual)"
    )
    start = f"the first loss is {symptoms.start_loss:.3g}{symptoms.guess()}"
    exploding = Finding(
        problem="exploding_gradient",
        where=symptoms.first_kernel,
        step=min(1, symptoms.last_step),
        severity="serious",
        evidence=f"{evidence}; {start}.",
    )
    if not (symptoms.fresh or symptoms.suffers):
        return
    if gains >= LIMITS.gains:
        yield exploding
    elif _starts_far_off(symptoms) and not any(contradictions(symptoms)):
        recurrent = [e["path"] for e in symptoms.layers if e["recurrent"]]
        grows = (
            f"The state of {recurrent[0]!r} grows from step to step of a "
            "sequence"
            if recurrent
            else "The layers enlarge what passes them"
        )
        yield exploding._replace(
            where=recurrent[0] if recurrent else symptoms.first_kernel,
            evidence=f"Before any training the outputs are far off: {start}. "
            f"{grows}.",
            remedies=("recurrent_initializer", "clipping") if recurrent else (),
        )
    for layer in symptoms.layers:
        gain = layer.get("recurrent_gain", 0.0)
        if gain > LIMITS.recurrent_gain:
            yield exploding._replace(
                where=layer["path"],
                severity="fatal",
                evidence=f"The recurrent kernel multiplies the state by "
                f"{gain:.2g} at each step of a sequence (about 1 is usual).",
                confidence="certain",
                remedies=("recurrent_initializer", "clipping"),
            )
            break
    # Adaptive steps make up for small gradients, if only after a while.
    limit, early = LIMITS.gains, False
    if symptoms.adaptive:
        limit = LIMITS.decades_adaptive if symptoms.fresh else LIMITS.gains
        early = symptoms.progress < 0.3
    if gains < -limit and (symptoms.fresh or (symptoms.stuck and not early)):
        yield Finding(
            problem="vanishing_gradient",
            where=symptoms.first_kernel,
            step=0,
            severity="fatal",
            evidence=f"{evidence}: neither inputs nor gradients get through.",
        )
