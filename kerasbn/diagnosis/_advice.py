"""Remedies fitted to a run: which options, and what to write into a finding."""

from typing import Any

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._remedies import REMEDIES
from kerasbn.diagnosis._rules_output import contradiction
from kerasbn.diagnosis._symptoms import Symptoms


def advised(finding: Finding, symptoms: Symptoms) -> Finding:
    """Return a finding with the remedies of its problem written out."""
    problem = PROBLEM[finding.problem]
    names = finding.remedies or problem.remedies
    written = [
        REMEDIES[name].write(
            **options_of(name, problem.name, symptoms),
            **_current(name, symptoms),
        )
        for name in names
    ]
    return finding._replace(
        step=int(finding.step),
        remedy=" ".join(sentence for sentence, _ in written),
        patch="\n".join(patch for _, patch in written),
        cost=finding.cost or problem.cost,
        source=finding.source or problem.source,
        remedies=names,
    )


def options_of(remedy: str, problem: str, symptoms: Symptoms) -> dict[str, Any]:
    """Return the options of a remedy, chosen for a problem of a run."""
    if remedy == "activation":
        return {"activation": "elu"}
    if remedy == "clipping":
        return {"clipnorm": 1.0}
    if remedy == "learning_rate":
        usual = 1e-3 if symptoms.adaptive else 1e-2
        rate = symptoms.learning_rate
        value = {
            "learning_rate_too_low": usual if rate < usual else 10 * rate,
            "oscillating_loss": rate / 3,
        }.get(problem, min(rate / 10, usual))
        return {"value": value}
    if remedy == "output":
        found = contradiction(symptoms.model, symptoms.targets)
        return found.change if found else {}
    return {}


def _current(remedy, symptoms):
    """What the script has now, for the lines that a patch removes."""
    if remedy == "learning_rate":
        return {"current": symptoms.learning_rate}
    if remedy == "output":
        shown = '{units}, activation="{activation}"'
        return {"current": shown.format_map(symptoms.output)}
    if remedy == "clipping":
        settings = symptoms.run.settings
        if "rules" in settings:  # of a Clipped
            return {"current": f"rules=[{settings['rules']}]"}
        for name in ("clipnorm", "clipvalue", "global_clipnorm"):
            if settings.get(name):
                return {"current": f"{name}={settings[name]}"}
    return {}
