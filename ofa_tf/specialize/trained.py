"""From an experiment to a trained supernet with an accuracy predictor: what comes before targets.

Each step is known by the file that it leaves in the run directory: a stage's weights, `accuracy.jsonl`,
`predictor.npz`. What is there is not done again, so the same call goes on where an earlier one was stopped.
"""

import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ofa_tf.data import ImageDataset
from ofa_tf.networks import PackedSupernet
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.specialize.learning import PREDICTOR_FILE, collect_pairs
from ofa_tf.specialize.opened import Opened, of_run
from ofa_tf.specialize.work import say
from ofa_tf.training import Stage, Trainer, open_experiment

# The two idle cores of docs/results/speed.md; a gradient costs twice what the answer does. For the first guess.
_MACS_PER_SECOND, _STEP_MACS = 2e10, 3
_FIT_SECONDS = 20.0
# Of the sub-networks whose mean stands for a stage's.
_DRAWN = 20
_TELL_SECONDS = 30.0


class Clock:
    """Tells how long the whole still takes: guessed for each step, corrected by the pace of those that are timed.

    Args:
        paced_s: seconds of each step whose progress is noted, by its name, in their order.
        fixed_s: of those that follow, whose time does not hang on how fast networks are trained here.

    Example:
        clock = Clock({"train": 600}, {"export": 60})
        clock.at("train", share=0.1)
    """

    def __init__(self, paced_s: Mapping[str, float], fixed_s: Mapping[str, float]):
        self._paced_s, self._fixed_s = dict(paced_s), dict(fixed_s)
        self._names = [*paced_s, *fixed_s]
        self._step, self._share = self._names[0], 0.0
        self._at = self._told = float("-inf")
        # What was timed here, and how long it was guessed to take; equal at first, so that a first step counts little.
        self._took_s = self._expected_s = _TELL_SECONDS

    def at(self, step: str, share: float = 0.0) -> None:
        """Notes how much of a step is done, 0..1, and tells it from time to time.

        What lies between two steps, or before the first note of one, is not taken for its pace.
        """
        now = time.monotonic()
        begins = step != self._step or self._told < 0
        if not begins and step in self._paced_s:
            self._took_s += now - self._at
            self._expected_s += (share - self._share) * self._paced_s[step]
        self._step, self._share, self._at = step, share, now
        if begins or now - self._told >= _TELL_SECONDS:
            self._told = now
            left, number = self.left_s / 60, self._names.index(step) + 1
            minutes = f"about {left:.0f} min" if left >= 1 else "less than a minute"
            say(f"[{number}/{len(self._names)}] {step}: {100 * share:.0f}%; {minutes} left for the whole")

    @property
    def left_s(self) -> float:
        """Seconds that are left of the whole."""
        later = self._names[self._names.index(self._step) + 1 :]
        shares = {self._step: 1 - self._share, **dict.fromkeys(later, 1.0)}
        paced = sum(shares.get(name, 0) * seconds for name, seconds in self._paced_s.items())
        fixed = sum(shares.get(name, 0) * seconds for name, seconds in self._fixed_s.items())
        return paced * self._took_s / self._expected_s + fixed


def train_supernet(
    run_dir: str | os.PathLike,
    config: Mapping[str, Any],
    *,
    initial: PackedSupernet | None = None,
    dataset: ImageDataset | None = None,
    pairs: int,
    limit: int | None = None,
    then: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Opened, AccuracyPredictor]:
    """Trains a supernet, measures the accuracy of sub-networks, and fits their predictor; what is done is read.

    Args:
        run_dir: the run directory; `accuracy.jsonl` and `predictor.npz` come beside its stages.
        config: the experiment, see `open_experiment`.
        initial: a trained supernet that the run begins with.
        dataset: the experiment's images, where they are open already.
        pairs: sub-networks that are measured for the predictor.
        limit: at most so many validation images measure them, evenly spaced.
        then: the caller's further steps and their seconds, for the time that is told to be left.

    Returns:
        The supernet with its images, and the predictor.

    Raises:
        InputError: the experiment is unusable, or the folder holds another run.
        SystemExit: a stop signal came while it was trained; the state is saved.

    Example:
        opened, predictor = train_supernet("runs/digits", config, pairs=160)
    """
    run, dataset = open_experiment(run_dir, dict(config), initial=initial, dataset=dataset)
    trainer = Trainer(run, dataset, initial)
    opened = of_run(run, trainer.net, dataset)
    evaluator = opened.evaluator
    validation = len(dataset.split("validation"))
    images = min(evaluator.calibration_images, len(dataset.split("train"))) + min(validation, limit or validation)
    collect, fit = f"measure the accuracy of {pairs} sub-networks", "fit the accuracy predictor"
    paced_s = {_step_name(stage): _seconds(trainer, stage) for stage in trainer.stages}
    paced_s[collect] = pairs * images * _mean_macs(trainer.stages[-1], trainer) / _MACS_PER_SECOND
    clock = Clock(paced_s, {fit: _FIT_SECONDS, **then})
    steps = {stage.name: _step_name(stage) for stage in trainer.stages}
    trainer.train(
        evaluate=lambda arch: evaluator.evaluate(arch, split="validation").to_dict(),
        on_step=lambda stage, done, total: clock.at(steps[stage], done / total),
    )
    measured = collect_pairs(
        evaluator,
        run.path / "accuracy.jsonl",
        count=pairs,
        limit=limit,
        on_pair=lambda count: clock.at(collect, min(1.0, count / pairs)),
    )
    path = run.path / PREDICTOR_FILE
    if path.exists():
        predictor = AccuracyPredictor.load(path)
        # One that was fitted to more pairs, or by the user, is kept: results that were made with it stay valid.
        fitted_to = predictor.provenance.get("pairs")
        if "source" in predictor.provenance or fitted_to not in range(min(pairs, len(measured))):
            return opened, predictor
    clock.at(fit)
    archs, top1 = measured.accuracies()
    if len(set(top1)) == 1:
        decided = min(validation, limit or validation)
        say(
            f"    all {len(archs)} have the same accuracy, {100 * top1[0]:.1f}%, on {decided} photos, so that the "
            f"largest counts as the best; more photos to decide on would tell"
        )
    predictor = AccuracyPredictor.fit(run.space, *measured.ordered_accuracies(), measured=top1)
    predictor.save(path)
    quality = predictor.metrics
    if quality:
        say(
            f"    on pairs that it was not fitted to: Kendall tau {quality['kendall_tau']:.2f}, RMSE "
            f"{100 * quality['rmse']:.2f} points"
        )
    if then:
        clock.at(next(iter(then)))
    return opened, predictor


def _step_name(stage: Stage) -> str:
    return "train the largest network" if stage.name == "full" else f"train sub-networks, stage {stage.name}"


def _seconds(trainer: Trainer, stage: Stage) -> float:
    """A guess of how long a stage takes."""
    macs = _STEP_MACS * stage.subnets_per_step * _mean_macs(stage, trainer)
    if stage.distill and trainer.teacher is not None:
        macs += _mean_macs(trainer.stages[0], trainer)
    return (
        trainer.recipe.stages[stage.name].total_epochs * len(trainer.dataset.split("train")) * macs / _MACS_PER_SECOND
    )


def _mean_macs(stage: Stage, trainer: Trainer) -> float:
    """Of the sub-networks that a stage draws."""
    space, rng = trainer.run.space, np.random.default_rng(0)
    return float(np.mean([space.count_macs(space.sample(rng, **stage.choices)) for _ in range(_DRAWN)]))
