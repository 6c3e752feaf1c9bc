"""The remedies of a finding, with options that fit the run."""

from typing import Any

from kerasbn.diagnosis import _remedies
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._rules_output import contradiction
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
    written = _remedies.together(chosen, Script.of(symptoms.run))
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
        found = contradiction(symptoms.model, symptoms.targets)
        return found.change if found else {}
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
    """Options that follow from what the targets are."""
    targets, loss = symptoms.targets, str(symptoms.model.get("loss"))
    kind = "binary"
    if "sparse" in loss:
        kind = "labels"
    elif targets.get("one_hot") or "categorical" in loss:
        kind = "one_hot"
    if remedy == "output_bias":
        return {"targets": kind}
    if remedy == "watch_recall":
        logits = bool(symptoms.model.get("from_logits"))
        return {"targets": kind, "logits": logits}
    if remedy == "class_weight":
        row = symptoms.output.get("units", 1) if kind == "one_hot" else 1
        several = targets.get("columns", 1) > row
        return {"targets": kind, "per_element": several}
    return {}
