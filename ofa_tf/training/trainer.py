"""`Trainer`: runs the stages of progressive shrinking, resumable at every step."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from ofa_tf import networks
from ofa_tf.common import InputError, OfaError
from ofa_tf.data import ImageDataset, steps_per_epoch, training_batches
from ofa_tf.networks import PackedSupernet, Supernet
from ofa_tf.spaces import Arch
from ofa_tf.training.checkpoint import load_checkpoint, save_checkpoint
from ofa_tf.training.initial import initialize
from ofa_tf.training.run_directory import RunDirectory
from ofa_tf.training.schedule import learning_rate
from ofa_tf.training.sorting import sort_channels
from ofa_tf.training.stage import Stage, find_stage, stages_of
from ofa_tf.training.train_step import TrainStep

# Evaluates a sub-network of the trainer's net; returns figures for the metrics, the split among them.
Evaluate = Callable[[Arch], dict]


@dataclasses.dataclass
class _Progress:
    """Where a stage stands: what a checkpoint needs besides weights and slots."""

    step: int = 0  # the next one
    loss_sum: float = 0.0  # over the epoch so far
    top1_sum: float = 0.0
    metrics_lines: int = 0  # in the run's log, when this was true


class Trainer:
    """Trains the stages of a run, one after the other, with one traced step.

    Everything random (order and augmentation of images, image size, sub-networks, dropout) is a function of seed, stage
    and step, so that a resumed run is the run that was interrupted.

    Args:
        run: where weights and metrics go.
        dataset: the images.
        initial: a trained supernet to begin with, None for random weights; its classifier is replaced where the classes
            differ.

    Source: Cai et al., section 3.3; reference facts, "Progressive shrinking as published".

    Example:
        run, dataset = open_experiment("runs/digits", config)
        net = Trainer(run, dataset).train()
    """

    def __init__(self, run: RunDirectory, dataset: ImageDataset, initial: PackedSupernet | None = None):
        self.run = run
        self.dataset = dataset
        self.recipe = recipe = run.recipe
        self.net = networks.build(run.space, seed=recipe.seed)
        self.teacher = networks.build(run.space, seed=recipe.seed)
        if initial is not None:
            initialize(self.net, initial, dataset.class_names)
            self.teacher.load_state(self.net.state())
        self.step = TrainStep(
            self.net,
            self.teacher,
            recipe.preprocessing,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            label_smoothing=recipe.label_smoothing,
        )
        self.stages = stages_of(run.space, recipe, trained=initial is not None)
        self._traced = False
        self._stop_signal: signal.Signals | None = None

    def train(self, stages: list[str] | None = None, *, evaluate: Evaluate | None = None) -> Supernet:
        """Runs the named stages of the recipe, or all; finished ones are read, not run again.

        Args:
            stages: names; all of the recipe unless given.
            evaluate: evaluates corner sub-networks of `net`; None for none.

        Returns:
            The supernet after the last of them.

        Raises:
            InputError: a stage before them is not finished, or there are too few images for a batch.
            OfaError: the loss is no longer finite.
            SystemExit: a stop signal came; the state is saved.
        """
        wanted = list(stages or (stage.name for stage in self.stages))
        last = max(find_stage(self.stages, name) for name in wanted)
        with self._stop_signals():
            for index, stage in enumerate(self.stages[: last + 1]):
                weights = self.run.stage_weights(stage.name)
                if weights.is_file():
                    load_checkpoint(weights, self.net)
                elif stage.name in wanted:
                    self._run_stage(index, stage, evaluate)
                else:
                    raise InputError(
                        f"{self.run.path}: stage {stage.name} is not finished; run it first, or all stages"
                    )
                if not stage.distill:
                    self.teacher.load_state(self.net.state())
        return self.net

    def _run_stage(self, index: int, stage: Stage, evaluate: Evaluate | None) -> None:
        recipe, timing = self.recipe, self.recipe.stages[stage.name]
        epoch_steps = steps_per_epoch(self.dataset, recipe.batch_size)
        epochs = timing.epochs + timing.warmup_epochs
        steps = epochs * epoch_steps
        seed = recipe.seed * 1000 + index
        progress = self._begin(stage)
        batches = training_batches(
            self.dataset,
            batch_size=recipe.batch_size,
            resolutions=self.run.space.resolutions,
            augmentation=recipe.augmentation,
            seed=seed,
            first_step=progress.step,
            steps=steps - progress.step,
        )
        self._announce_tracing()
        saved = epoch_began = time.monotonic()
        epoch_began_at = progress.step
        with tqdm.tqdm(
            total=steps * recipe.batch_size,
            initial=progress.step * recipe.batch_size,
            desc=stage.name,
            unit="img",
            dynamic_ncols=True,
            mininterval=1.0,
            file=sys.stderr,
        ) as bar:
            for step, (images, labels) in enumerate(batches, start=progress.step):
                rate = learning_rate(
                    step,
                    steps=steps,
                    warmup_steps=timing.warmup_epochs * epoch_steps,
                    peak=timing.learning_rate * recipe.batch_size / recipe.base_batch_size,
                    start=timing.learning_rate,
                )
                loss, top1 = self._one_step(stage, seed, step, images, labels, rate)
                progress.step = step + 1
                progress.loss_sum += loss
                progress.top1_sum += top1
                bar.update(recipe.batch_size)
                bar.set_postfix(loss=f"{loss:.3f}", top1=f"{top1:.3f}", refresh=False)
                epoch, place = divmod(step + 1, epoch_steps)
                if place == 0:
                    self._log_epoch(stage, epoch, epoch_steps, rate, progress)
                    self._log_timing(stage, epoch, step + 1 - epoch_began_at, time.monotonic() - epoch_began)
                    if evaluate and (epoch % recipe.evaluate_every == 0 or epoch == epochs):
                        self._evaluate_corners(stage, epoch, evaluate, progress, bar)
                    epoch_began, epoch_began_at = time.monotonic(), step + 1
                due = place == 0 or time.monotonic() - saved > 60 * recipe.checkpoint_minutes
                if (due or self._stop_signal) and step + 1 < steps:
                    position = {"stage": stage.name, **dataclasses.asdict(progress)}
                    save_checkpoint(self.run.checkpoint, self.net, position, self.step.optimizer)
                    saved = time.monotonic()
                    self._maybe_stop(stage, step + 1, steps)
        save_checkpoint(self.run.stage_weights(stage.name), self.net, {"stage": stage.name, "step": steps})
        self.run.checkpoint.unlink(missing_ok=True)
        self._maybe_stop(stage, steps, steps)

    def _one_step(self, stage: Stage, seed: int, step: int, images, labels, rate: float) -> tuple[float, float]:
        """Runs the step; returns its mean loss per sub-network and the last one's top-1."""
        archs = [
            self.run.space.sample(np.random.default_rng([seed, step, subnet]), **stage.choices)
            for subnet in range(stage.subnets_per_step)
        ]
        if stage.sandwich:
            archs[:2] = self.run.space.corner(max, **stage.choices), self.run.space.corner(min, **stage.choices)
        loss, top1 = self.step(
            images,
            labels,
            np.stack([self.run.space.to_tensors(arch) for arch in archs]),
            learning_rate=rate,
            kd_ratio=self.recipe.kd_ratio if stage.distill else 0.0,
            dropout=self.recipe.dropout if stage.distill else 0.0,
            seed=(seed, step),
            in_place=stage.sandwich,
        )
        if not np.isfinite(loss):
            described = "; ".join(arch.to_json() for arch in archs)
            raise OfaError(
                f"stage {stage.name}, step {step}: the loss is {float(loss)}; the last good checkpoint is kept in "
                f"{self.run.path}; lower the learning rate. Sub-networks of the step: {described}"
            )
        return float(loss) / len(archs), float(top1)

    def _begin(self, stage: Stage) -> _Progress:
        """Restores the state inside the stage, or makes the state it starts from."""
        if self.run.checkpoint.is_file():
            position = load_checkpoint(self.run.checkpoint, self.net, self.step.optimizer)
            name = position.pop("stage")
            if name == stage.name:
                fields = [field.name for field in dataclasses.fields(_Progress)]
                progress = _Progress(**{field: position[field] for field in fields})
                self.run.cut_log("metrics", progress.metrics_lines)
                return progress
            # The process was killed between writing a stage's weights and removing its checkpoint.
            load_checkpoint(self.run.stage_weights(name), self.net)
        for variable in self.step.optimizer.variables:
            variable.assign(np.zeros_like(variable.numpy()))
        if stage.sorted_within:
            sort_channels(self.net, stage.sorted_within)
        done = [line for line in self.run.read_log("metrics") if line["stage"] != stage.name]
        self.run.cut_log("metrics", len(done))
        return _Progress(metrics_lines=len(done))

    def _log_epoch(self, stage: Stage, epoch: int, epoch_steps: int, rate: float, progress: _Progress) -> None:
        means = {"loss": progress.loss_sum / epoch_steps, "top1": progress.top1_sum / epoch_steps}
        self.run.log("metrics", {"stage": stage.name, "epoch": epoch, "split": "train", **means, "learning_rate": rate})
        progress.metrics_lines += 1
        progress.loss_sum = progress.top1_sum = 0.0

    def _log_timing(self, stage: Stage, epoch: int, steps: int, seconds: float) -> None:
        # Apart from the metrics, which a resumed run repeats to the digit.
        speed = steps * self.recipe.batch_size / seconds
        self.run.log("timing", {"stage": stage.name, "epoch": epoch, "seconds": seconds, "images_per_second": speed})

    def _evaluate_corners(
        self, stage: Stage, epoch: int, evaluate: Evaluate, progress: _Progress, bar: tqdm.tqdm
    ) -> None:
        for name, arch in stage.corners(self.run.space).items():
            figures = evaluate(arch)
            self.run.log("metrics", {"stage": stage.name, "epoch": epoch, "subnet": name, **figures})
            progress.metrics_lines += 1
            bar.write(f"{stage.name} {epoch}: {name} {figures['split']} top-1 {figures['top1']:.4f}", file=sys.stderr)

    def _announce_tracing(self) -> None:
        if not self._traced:
            print("tracing the training step, once for all sub-networks: this takes tens of seconds", file=sys.stderr)
        self._traced = True

    def _maybe_stop(self, stage: Stage, step: int, steps: int) -> None:
        if self._stop_signal:
            where = f"{stage.name}, step {step} of {steps}"
            print(f"\nstopped by {self._stop_signal.name}; saved at {where}; the same command resumes", file=sys.stderr)
            raise SystemExit(128 + self._stop_signal)

    @contextlib.contextmanager
    def _stop_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the run after the step, with its state saved; a second one ends it at once."""

        def note(number, _):
            self._stop_signal = signal.Signals(number)
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

        try:
            former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread (a notebook, a server), where no handler can be set
            former = {}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
