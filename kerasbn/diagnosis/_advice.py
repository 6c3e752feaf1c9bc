"""The remedies of a finding, with options that fit the run."""

from typing import Any

from kerasbn.diagnosis import _remedies
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._rules_output import contradictions
from kerasbn.diagnosis._script import Script
from kerasbn.diagnosis._symptoms import Symptoms


def advised(finding: Finding, symptoms: Symptoms) -> Finding:
    """Return a finding with its remedies written out, as one edit."""
    problem = PROBLEM[finding.problem]
    names = finding.remedies or problem.remedies
    chosen = [
        (
            str(name),
            getattr(name, "options", {})
            or options_of(name, finding.problem, symptoms, finding.where),
        )
        for name in names
    ]
    written = _remedies.together(chosen, Script.of(symptoms.run, finding.where))
    return finding._replace(
        step=int(finding.step),
        remedy=written.sentence,
        patch=written.patch,
        cost=finding.cost or problem.cost,
        source=finding.source or problem.source,
        remedies=tuple(map(str, names)),
    )


def options_of(
    remedy: str, problem: str, symptoms: Symptoms, where: str = ""
) -> dict[str, Any]:
    """Return the options of a remedy, chosen for a problem of a run."""
    if remedy == "activation":
        return {"activation": "elu"}
    if remedy == "clipping":
        return {"clipnorm": 1.0}
    if remedy == "learning_rate":
        rate = symptoms.learning_rate
        return {"value": _learning_rate(problem, rate, symptoms.adaptive)}
    if remedy == "decay":
        return {"steps": symptoms.run.planned_steps}
    if remedy == "output":
        found = [each for _, each in contradictions(symptoms)]
        return found[0].change if found else {}
    if remedy in ("drop_bias", "move_dropout", "adapt"):
        return {"layer": where}
    return _of_targets(remedy, symptoms)


def _learning_rate(problem, rate, adaptive):
    usual = 1e-3 if adaptive else 1e-2
    return {
        "learning_rate_too_low": usual if rate < usual else 10 * rate,
        "oscillating_loss": rate / 3,
    }.get(problem, min(rate / 10, usual))


def _of_targets(remedy, symptoms):
    """Options that follow from what the targets are, of the rarest class."""
    known = [each for each in symptoms.heads if each[1]]
    if remedy not in ("output_bias", "watch_recall", "class_weight"):
        return {}
    if not known:
        return {}
    head, targets, _ = min(known, key=_rarest)
    kind = "binary"
    if "sparse" in str(head["loss"]):
        kind = "labels"
    elif targets["one_hot"] or "categorical" in str(head["loss"]):
        kind = "one_hot"
    if remedy == "output_bias":
        return {"targets": kind}
    if remedy == "watch_recall":
        return {"targets": kind, "logits": head["from_logits"]}
    # `fit` takes no class weights for labels per pixel, step or column.
    axes = 2 if kind == "one_hot" else 1
    within = len(targets["shape"]) >= axes and targets["shape"] != [1]
    several = kind == "binary" and targets["columns"] > 1
    return {"targets": kind, "per_element": within, "several": several}


def _rarest(known):
    balance = known[1].get("balance")
    return balance["rarest"] if balance else 1.0
