"""Rules about normalization layers and their statistics."""

from collections.abc import Iterator

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._symptoms import Symptoms, beyond
from kerasbn.diagnosis._thresholds import LIMITS


def batch_statistics_mismatch(symptoms: Symptoms) -> Iterator[Finding]:
    planned = symptoms.run.planned_steps
    momenta = {each["path"]: each["momentum"] for each in symptoms.layers}
    kept = {
        each["path"]: each["momentum"] ** planned
        for each in symptoms.layers
        if each["momentum"] and not each["starts_warm"] and planned
    }
    if cold := beyond(kept, LIMITS.cold):
        yield Finding(
            problem="batch_statistics_mismatch",
            where=cold[0],
            step=0,
            severity="serious",
            evidence=f"With momentum={momenta[cold[0]]:g} the moving "
            f"statistics still keep {kept[cold[0]]:.0%} of their initial "
            f"values after the {planned} steps of this training.",
            confidence="certain",
        )
        return
    measure = "statistics_distance"
    distances = symptoms.units(measure)
    training, inference = (
        symptoms.seen_losses.get(each, np.nan)
        for each in ("training", "inference")
    )
    level = symptoms.constant_loss or abs(symptoms.start_loss)
    # Statistics that have time to settle are not blamed for not having done so.
    slowest = max((m for m in momenta.values() if m), default=0.0)
    looked_at = symptoms.run.data.get("looked_at", 0)
    settles = slowest**planned < 0.05 <= slowest**looked_at
    if (
        distances
        and not settles
        and symptoms.judged
        and looked_at >= LIMITS.beginning * planned
        and inference - training > LIMITS.lag * level
        and inference > 1.5 * training
    ):
        worst = max(distances, key=distances.__getitem__)
        yield Finding(
            problem="batch_statistics_mismatch",
            where=worst,
            step=symptoms.last_step,
            severity="serious",
            evidence=f"On the same rows the loss is {training:.3g} in training "
            f"and {inference:.3g} at inference, where the moving statistics "
            "take the place of those of the batch: they are "
            f"{distances[worst]:.1f} deviations away.",
        )
        return
    distances = {
        path: distance
        for path, distance in distances.items()
        if (momenta.get(path) or 0.99) ** symptoms.last_step < 0.05
    }
    far = beyond(distances, LIMITS.distance)
    if far and symptoms.judged and not np.isfinite(inference):
        yield Finding(
            problem="batch_statistics_mismatch",
            where=far[0],
            step=symptoms.since(measure, far[0], LIMITS.distance),
            severity="serious",
            evidence="The moving statistics are "
            f"{distances[far[0]]:.1f} deviations away from those of a batch "
            f"(less than {LIMITS.distance:g} is usual).",
        )


def around_normalization(symptoms: Symptoms) -> Iterator[Finding]:
    by_path = {each["path"]: each for each in symptoms.layers}
    note = Finding(
        problem="batch_statistics_mismatch",
        where="",
        step=0,
        severity="minor",
        evidence="",
        confidence="certain",
    )
    if symptoms.last_step:
        return
    batch = [each for each in symptoms.layers if each["normalizes"] == "batch"]
    pairs = [(by_path.get(each["after"], {}), each) for each in batch]
    biased = [
        before["path"]
        for before, _ in pairs
        if before.get("has_bias") and before["activation"] in (None, "linear")
    ]
    if biased:
        last = f" to {biased[-1]!r}" if len(biased) > 1 else ""
        yield note._replace(
            problem="dead_bias",
            where=biased[0],
            evidence=f"In {len(biased)} layers, {biased[0]!r}{last}, a bias is "
            "followed by a batch normalization that subtracts it again: its "
            "gradient is 0.",
        )
    dropped = [pair for pair in pairs if "Dropout" in pair[0].get("type", "")]
    for before, layer in dropped[:1]:
        yield note._replace(
            where=layer["path"],
            evidence=f"{before['path']!r} comes before it and changes the "
            "variance of its inputs, but in training only.",
            cost="At inference the variance differs from the learnt one.",
            source="https://arxiv.org/abs/1801.05134",
            remedies=("move_dropout",),
        )
    alone = [
        each["path"]
        for each in batch
        if each.get("last_rows") == 1 and not each["starts_warm"]
    ]
    if alone:
        yield note._replace(
            where=alone[0],
            evidence="The last batch of each epoch is a single row, whose "
            "variance is 0.",
            cost="That step follows a single row.",
            source="https://arxiv.org/abs/1502.03167",
            remedies=("drop_remainder",),
        )
