"""Remedies that edit `compile`, `fit` and what is around them."""

from kerasbn.diagnosis._remedies_output import code
from kerasbn.diagnosis._script import Script

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
_RULES = {
    "clipnorm": "ByNorm",
    "clipvalue": "ByValue",
    "global_clipnorm": "ByGlobalNorm",
}


def clipping(script: Script, **options: float | None) -> str:
    """Options: one of `clipnorm`, `clipvalue` and `global_clipnorm`."""
    options = options or {"clipnorm": 1.0}
    used = {name: each for name, each in options.items() if each is not None}
    call = script.optimizer()
    old = str(call)
    if call.name.endswith("Clipped"):
        rules = ", ".join(
            f"kerasbn.clipping.{_RULES[name]}({each})"
            for name, each in used.items()
        )
        before = call.named.get("rules", "AutoClip")
        call.set(rules=f"[{rules}]")
    else:
        call = script.inner_optimizer()
        had = [e for e in _CLIPPING if call.named.get(e)]
        before = ", ".join(f"{each}={call.named[each]}" for each in had)
        call.set(**dict.fromkeys(_CLIPPING))
        call.set(**{name: code(float(e)) for name, e in used.items()})
    if str(call) == old:
        return ""
    script.replace(call)
    if not used:
        return "Do not clip the gradients."
    new = ", ".join(f"{name}={each}" for name, each in used.items())
    instead = f" instead of {before}" if before else ""
    return f"Clip the gradients with {new}{instead}."


def learning_rate(
    script: Script, factor: float = 0.1, value: float | None = None
) -> str:
    """Options: a `factor`, or the new `value`."""
    call = script.inner_optimizer()
    current = script.settings.get("learning_rate")
    known = isinstance(current, float)
    if value is None:
        if known:
            call.set(learning_rate=f"{factor * current:.3g}")
            script.replace(call)
        return f"Multiply the learning rate by {factor:g}."
    new = f"{value:.3g}"
    call.set(learning_rate=new)
    script.replace(call)
    if script.is_example:  # a rate of the user's, or measured
        return f"Set the learning rate to {new}."
    told = f"Set the learning rate to {new}"  # instead of a schedule
    if known:
        verb = "Lower" if value < current else "Raise"
        told = f"{verb} the learning rate from {current:.3g} to {new}"
    return (
        f"{told}. Or let kerasbn.find_learning_rate(model, x, y) measure one."
    )


def decay(script: Script, steps: int = 0) -> str:
    """Option: `steps` of the whole training."""
    call = script.inner_optimizer()
    rate = call.named.get("learning_rate")
    rate = rate or f"{script.settings.get('learning_rate', 0.001):.3g}"
    if "(" not in rate:
        call.set(
            learning_rate="keras.optimizers.schedules.CosineDecay("
            f"{rate}, {steps or 1000})"
        )
        script.replace(call)
    return "Let it decay to 0 over the training."


def calibrate(script: Script) -> str:
    script.after_fit.append("kerasbn.calibrate(model, x)")
    return "Measure the statistics of the trained model again."


def apply_gradients(script: Script) -> str:
    script.first.append(
        "# in train_step: self.optimizer.apply(gradients, "
        "self.trainable_variables)"
    )
    return (
        "Call `self.optimizer.apply(gradients, self.trainable_variables)` in "
        "`train_step`."
    )


def recover(script: Script) -> str:
    script.fit["callbacks"] = "[kerasbn.callbacks.RecoverFromNonFinite()]"
    return "Return to the last good weights when it happens."


def check_targets(script: Script) -> str:
    """A trial on ten rows, of a copy: the model itself is left alone."""
    compiled = str(script.compile).replace("model.", "trial.", 1)
    if script.style != "subclassed" and script.compile.named:
        script.before_fit += [
            "trial = keras.models.clone_model(model)",
            compiled,
            "trial.fit(x[:10], y[:10], epochs=200, verbose=0)",
            "print(trial.evaluate(x[:10], y[:10], verbose=0))  # near 0?",
        ]
    return (
        "Check that the targets belong to the inputs: the network should fit "
        "ten rows until their loss is near 0. If it does, try a learning rate "
        "ten times higher and ten times lower."
    )


def watch_recall(
    script: Script, targets: str = "binary", logits: bool = False
) -> str:
    """Options: `targets` and whether the outputs are `logits`.

    `targets` is "binary", "one_hot" or "labels".
    """
    if targets == "labels":
        script.after_fit += [
            "predicted = model.predict(x).argmax(axis=-1).ravel()",
            "labels = y.ravel()",
            "print([np.mean(predicted[labels == each] == each) "
            "for each in np.unique(labels)])",
        ]
        return "Watch the recall of each class: accuracy hides the rare ones."
    metric = f"keras.metrics.Recall({'thresholds=0' * logits})"
    if targets == "one_hot":
        metric = 'keras.metrics.F1Score(average="macro")'
    given = script.compile.named.get("metrics", "[]")
    if given.startswith("[") and metric not in given:
        inside = ", ".join(filter(None, [given[1:-1], metric]))
        script.compile.set(metrics=f"[{inside}]")
    return f"Watch {metric}: accuracy hides a rare class."


def adapt(script: Script, layer: str = "", data: str = "x") -> str:
    """Options: path of the `layer`, and the `data` that it takes."""
    block = script.block(layer)
    if block is None:
        kinds = (e for e in script.blocks if e.kind == "Normalization")
        block = next(kinds, None)
    path = block.layer["path"] if block else "normalization"
    name = path.rsplit("/", 1)[-1]
    script.before_fit.append(f"model.get_layer({code(name)}).adapt({data})")
    return f"Adapt {name!r} to the data before training."
