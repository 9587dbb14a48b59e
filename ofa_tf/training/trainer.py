"""`Trainer`: runs the stages of a run, resumable at every step."""

import contextlib
import dataclasses
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tqdm

from ofa_tf import networks
from ofa_tf.common import InputError, OfaError, brief
from ofa_tf.common.config import check_whole, is_number
from ofa_tf.data import ImageDataset, steps_per_epoch, training_batches
from ofa_tf.networks import PackedSupernet, Supernet
from ofa_tf.spaces import Arch
from ofa_tf.training.checkpoint import FORMAT, began_with, initialize, load_checkpoint, save_checkpoint
from ofa_tf.training.cluster import Cluster
from ofa_tf.training.event_files import EventFiles
from ofa_tf.training.run_directory import RunDirectory
from ofa_tf.training.schedule import curves
from ofa_tf.training.stage import Stage, find_stage, sort_channels, stages_of
from ofa_tf.training.teacher import Answers, Teacher, top1_on_training_images
from ofa_tf.training.train_step import TrainStep


class StopSignals:
    """While entered, SIGINT and SIGTERM are noted; a second one ends the process at once.

    Outside the main thread (a notebook, a server), where no handler can be set, nothing is noted.

    Example:
        with StopSignals() as stop:
            while not stop.received:
                step()
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        self.received = None
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        except ValueError:
            pass
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _note(self, number: int, _: object) -> None:
        self.received = signal.Signals(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


# Evaluates a sub-network of the trainer's net; returns figures for the metrics, the split among them.
Evaluate = Callable[[Arch], dict]
# Told after each step: the stage's name, its steps so far, and all of them.
OnStep = Callable[[str, int, int], None]


@dataclasses.dataclass
class _Progress:
    """Where a stage stands: what a checkpoint needs besides weights and slots."""

    step: int = 0  # the next one
    loss_sum: float = 0.0  # over the epoch so far
    top1_sum: float = 0.0
    metrics_lines: int = 0  # in the run's log, when this was true

    def __post_init__(self):
        for name in ("step", "metrics_lines"):
            check_whole(name, getattr(self, name), 0)
        for name in ("loss_sum", "top1_sum"):
            if not is_number(getattr(self, name)):
                raise InputError(f"{name} is {brief(repr(getattr(self, name)))}, expected a number")


class Trainer:
    """Trains the stages of a run, one after the other, with one traced step.

    Everything random (order and augmentation of images, image size, sub-networks, dropout) is a function of seed, stage
    and step, so that a resumed run is the run that was interrupted, and all workers of a cluster draw the same.

    Args:
        run: where weights and metrics go; several workers share it, and the first one writes.
        dataset: the images.
        initial: a trained supernet to begin with, None for random weights; its classifier is replaced where the classes
            differ.
        cluster: the devices; one unless given.
        teacher: the trained network that the run's description names, None for none.
        event_files: whether the logs' figures are written for TensorBoard, too, in the run's folder `tensorboard`.

    Source: Cai et al., section 3.3; docs/method.md, "Progressive shrinking".

    Example:
        run, dataset = open_experiment("runs/digits", config)
        net = Trainer(run, dataset).train()
    """

    def __init__(
        self,
        run: RunDirectory,
        dataset: ImageDataset,
        initial: PackedSupernet | None = None,
        cluster: Cluster | None = None,
        teacher: Teacher | None = None,
        *,
        event_files: bool = True,
    ):
        self.run = run
        self.dataset = dataset
        self.cluster = cluster or Cluster()
        self.recipe = recipe = run.recipe
        run.check_trained_by(self.cluster.replicas, began_with(initial), {} if teacher is None else teacher.identity)
        self._given, self._kd_ratio = teacher is not None, recipe.teacher_weight(given=teacher is not None)
        self.stages = stages_of(run.space, recipe, trained=initial is not None)
        self._batch_size = recipe.batch_size * self.cluster.replicas
        self._curves = curves(recipe, self.stages, steps_per_epoch(dataset, self._batch_size), self._batch_size)
        # Where only its maps teach, it is not asked for answers.
        answers = self._answers_of(teacher) if teacher is not None and self._kd_ratio else None
        with self.cluster.waiting("making the networks", tracing=True), self.cluster.strategy.scope():
            self.net = networks.build(run.space, seed=recipe.seed)
            if initial is not None:
                initialize(self.net, initial, dataset.class_names)
            # The full network of the first stage, where that teaches.
            self.teacher = None
            asked = self._kd_ratio or recipe.feature_ratio
            if teacher is None and asked and any(stage.distill for stage in self.stages):
                self.teacher = networks.build(run.space, seed=recipe.seed)
                self.teacher.load_state(self.net.state())
            shown = None
            if recipe.feature_ratio:
                shown = self.teacher if teacher is None else teacher.of_features(run.space, recipe)
            self.step = TrainStep(
                self.net,
                answers or self.teacher,
                recipe.preprocessing,
                feature_teacher=shown,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
                label_smoothing=recipe.label_smoothing,
                label_ratio=float(recipe.labels == "data"),
                precision=recipe.precision,
                jit_compile=recipe.jit_compile,
                recompute=recipe.recompute,
            )
        self._traced = False
        self._stop = StopSignals()
        epochs = {stage.name: recipe.stages[stage.name].total_epochs for stage in self.stages}
        self._events = EventFiles(run.path / "tensorboard", epochs) if event_files and self.cluster.is_chief else None

    def train(
        self,
        stages: list[str] | None = None,
        *,
        evaluate: Evaluate | None = None,
        on_step: OnStep = lambda stage, done, steps: None,
    ) -> Supernet:
        """Runs the named stages of the recipe, or all; finished ones are read, not run again.

        Args:
            stages: names; all of the recipe unless given.
            evaluate: evaluates corner sub-networks of `net`; None for none.
            on_step: called after each step with the stage's name, how many of its steps are done, and how many it has.

        Returns:
            The supernet after the last of them.

        Raises:
            InputError: a stage before them is not finished, there are too few images for a batch, or another process
                trains the run.
            OfaError: the loss is no longer finite, or another worker was lost.
            SystemExit: a stop signal came; the state is saved.
        """
        wanted = list(stages or (stage.name for stage in self.stages))
        last = max(find_stage(self.stages, name) for name in wanted)
        # Looked up once: afterwards, other workers write.
        finished = self.run.finished_stages()
        unfinished = any(name not in finished for name in wanted)
        with self._stop, self.run.alone(writing=unfinished) if self.cluster.is_chief else contextlib.nullcontext():
            if self.cluster.workers == 1:
                # Another process may have finished one and let go of the run meanwhile.
                finished = self.run.finished_stages()
            for index, stage in enumerate(self.stages[: last + 1]):
                if stage.name in finished:
                    load_checkpoint(self.run.stage_weights(stage.name), self.net)
                elif stage.name in wanted:
                    self._run_stage(index, stage, evaluate, on_step)
                else:
                    raise InputError(
                        f"{self.run.path}: stage {stage.name} is not finished; run it first, or all stages"
                    )
                if self.teacher is not None and not stage.distill:
                    self.teacher.load_state(self.net.state())
        return self.net

    def _run_stage(self, index: int, stage: Stage, evaluate: Evaluate | None, on_step: OnStep) -> None:
        recipe, curve = self.recipe, self._curves[index]
        epoch_steps = steps_per_epoch(self.dataset, self._batch_size)
        epochs = recipe.stages[stage.name].total_epochs
        steps = epochs * epoch_steps
        seed = recipe.seed * 1000 + index
        progress = self._begin(index, stage)
        batches = training_batches(
            self.dataset,
            batch_size=self._batch_size,
            resolutions=self.run.space.resolutions,
            augmentation=recipe.augmentation,
            seed=seed,
            first_step=progress.step,
            steps=steps - progress.step,
            worker=self.cluster.worker,
            workers=self.cluster.workers,
            resize=recipe.preprocessing.resize,
        )
        self._announce_tracing()
        saved = epoch_began = time.monotonic()
        epoch_began_at = progress.step
        with tqdm.tqdm(
            total=steps * self._batch_size,
            initial=progress.step * self._batch_size,
            desc=stage.name,
            unit="img",
            dynamic_ncols=True,
            mininterval=1.0,
            file=sys.stderr,
            disable=not self.cluster.is_chief,
        ) as bar:
            for step, (images, labels) in enumerate(batches, start=progress.step):
                rate = curve.rate(step)
                loss, top1, stop = self._one_step(stage, seed, step, images, labels, rate)
                progress.step = step + 1
                progress.loss_sum += loss
                progress.top1_sum += top1
                bar.update(self._batch_size)
                bar.set_postfix(loss=f"{loss:.3f}", top1=f"{top1:.3f}", refresh=False)
                on_step(stage.name, progress.step, steps)
                epoch, rest = divmod(step + 1, epoch_steps)
                if rest == 0:
                    self._log_epoch(stage, epoch, epoch_steps, rate, progress)
                    self._log_timing(stage, epoch, step + 1 - epoch_began_at, time.monotonic() - epoch_began)
                    if evaluate and (epoch % recipe.evaluate_every == 0 or epoch == epochs):
                        self._evaluate_corners(stage, epoch, evaluate, progress, bar)
                    epoch_began, epoch_began_at = time.monotonic(), step + 1
                due = rest == 0 or time.monotonic() - saved > 60 * recipe.checkpoint_minutes
                due = due or (bool(recipe.checkpoint_steps) and (step + 1) % recipe.checkpoint_steps == 0)
                if (due or stop) and step + 1 < steps:
                    self._save(stage, progress)
                    saved = time.monotonic()
                    if stop:
                        self._leave(f"{stage.name}, step {step + 1} of {steps}")
        self._finish(stage, steps, keep_optimizer=curve.shared_after)
        if stop:
            self._leave(f"the end of {stage.name}")

    def _answers_of(self, teacher: Teacher) -> Answers:
        sizes = self.run.space.resolutions
        answers = teacher.answers(self.dataset, self.recipe, sizes)
        if self.recipe.labels == "teacher":
            return answers
        top1 = top1_on_training_images(answers, self.dataset, self.recipe, sizes[-1])
        if self.cluster.is_chief:
            print(f"the teacher's top-1 on augmented training images, {sizes[-1]} pixels: {top1:.3f}", file=sys.stderr)
        return answers

    def _one_step(self, stage: Stage, seed: int, step: int, images, labels, rate: float) -> tuple[float, float, bool]:
        """Runs the step; returns its mean loss per sub-network, the last one's top-1, and whether to stop."""
        archs = [
            self.run.space.sample(np.random.default_rng([seed, step, subnet]), **stage.choices)
            for subnet in range(stage.subnets_per_step)
        ]
        if stage.sandwich:
            archs[:2] = self.run.space.corner(max, **stage.choices), self.run.space.corner(min, **stage.choices)
        with self.cluster.waiting(f"stage {stage.name}, step {step}", tracing=not self._traced):
            loss, top1, stop = self.step(
                images,
                labels,
                np.stack([self.run.space.to_array(arch) for arch in archs]),
                learning_rate=rate,
                kd_ratio=self._kd_ratio if stage.distill or self._given else 0.0,
                dropout=self.recipe.dropout if stage.distill else 0.0,
                seed=(seed, step),
                feature_ratio=self.recipe.feature_ratio if stage.distill or self._given else 0.0,
                in_place=stage.sandwich,
                stop=self._stop.received is not None,
            )
            loss, top1, stop = float(loss), float(top1), float(stop) > 0
        self._traced = True
        if not np.isfinite(loss):
            described = "; ".join(arch.to_json() for arch in archs)
            raise OfaError(
                f"stage {stage.name}, step {step}: the loss is {loss}; lower the learning rate, in another folder "
                f"({self.run.path} keeps its finished stages and the last good checkpoint, for this recipe alone). "
                f"Sub-networks of the step: {described}"
            )
        if self.cluster.workers == 1:
            stop = self._stop.received is not None  # at once; several workers stop after the step in which all know
        return loss / len(archs), top1, stop

    def _begin(self, index: int, stage: Stage) -> _Progress:
        """Restores the state inside the stage, or makes the state it starts from."""
        problem = None
        for path in reversed(self.run.checkpoints(stage.name)):
            try:
                position = load_checkpoint(path, self.net, self.step.optimizer)
                with FORMAT.reading(path):
                    progress = _Progress(**{each.name: position[each.name] for each in dataclasses.fields(_Progress)})
            except InputError as error:
                problem = error
                warnings.warn(f"{error}; going on from the one before", stacklevel=2)
                continue
            self._cut_metrics(progress.metrics_lines)
            return progress
        if problem is not None:
            raise InputError(f"{problem}; nor can another checkpoint of stage {stage.name}: remove them to redo it")
        if self._curves[index].first_step:
            load_checkpoint(self.run.stage_weights(self.stages[index - 1].name), self.net, self.step.optimizer)
        else:
            for variable in self.step.optimizer.variables:
                variable.assign(np.zeros_like(variable.numpy()))
        if stage.sorted_within:
            momenta = ([slot] for slot in self.step.optimizer.momentums)
            # Without momentum, an optimizer has none.
            momenta = momenta if self.recipe.momentum else ([] for _ in self.net.trainable_variables)
            slots = dict(zip(map(id, self.net.trainable_variables), momenta, strict=True))
            sort_channels(self.net, stage.sorted_within, slots)
        done = [line for line in self.run.read_log("metrics") if line["stage"] != stage.name]
        self._cut_metrics(len(done))
        return _Progress(metrics_lines=len(done))

    def _save(self, stage: Stage, progress: _Progress) -> None:
        """Writes a checkpoint and removes those that are too old to keep."""
        if not self.cluster.is_chief:
            return
        position = {"stage": stage.name, **dataclasses.asdict(progress)}
        path = self.run.checkpoint(stage.name, progress.step)
        save_checkpoint(path, self.net, position, self.step.optimizer)
        for old in self.run.checkpoints(stage.name)[: -self.recipe.keep_checkpoints]:
            old.unlink()

    def _finish(self, stage: Stage, steps: int, *, keep_optimizer: bool) -> None:
        """Writes the weights of a stage; its checkpoints have served."""
        if self.cluster.is_chief:
            optimizer = self.step.optimizer if keep_optimizer else None
            position = {"stage": stage.name, "step": steps}
            save_checkpoint(self.run.stage_weights(stage.name), self.net, position, optimizer)
            for path in self.run.checkpoints(stage.name):
                path.unlink()
        self.cluster.meet(f"the end of stage {stage.name}")

    def _cut_metrics(self, lines: int) -> None:
        if self.cluster.is_chief:
            self.run.cut_log("metrics", lines)

    def _log(self, name: str, line: dict) -> None:
        if self.cluster.is_chief:
            self.run.log(name, line)
        if self._events:
            self._events.write(line)

    def _log_epoch(self, stage: Stage, epoch: int, epoch_steps: int, rate: float, progress: _Progress) -> None:
        means = {"loss": progress.loss_sum / epoch_steps, "top1": progress.top1_sum / epoch_steps}
        self._log("metrics", {"stage": stage.name, "epoch": epoch, "split": "train", **means, "learning_rate": rate})
        progress.metrics_lines += 1
        progress.loss_sum = progress.top1_sum = 0.0

    def _log_timing(self, stage: Stage, epoch: int, steps: int, seconds: float) -> None:
        # Apart from the metrics, which a resumed run repeats to the digit.
        speed = steps * self._batch_size / seconds
        line = {"stage": stage.name, "epoch": epoch, "seconds": seconds, "images_per_second": speed}
        self._log("timing", {**line, "replicas": self.cluster.replicas})

    def _evaluate_corners(
        self, stage: Stage, epoch: int, evaluate: Evaluate, progress: _Progress, bar: tqdm.tqdm
    ) -> None:
        # By every worker: so none waits for another, and the figures cost no message.
        for name, arch in stage.corners(self.run.space).items():
            figures = evaluate(arch)
            self._log("metrics", {"stage": stage.name, "epoch": epoch, "subnet": name, **figures})
            progress.metrics_lines += 1
            if self.cluster.is_chief:
                described = f"{stage.name} {epoch}: {name} {figures['split']} top-1 {figures['top1']:.4f}"
                bar.write(described, file=sys.stderr)

    def _announce_tracing(self) -> None:
        if not self._traced:
            print("tracing the training step, once for all sub-networks: this takes tens of seconds", file=sys.stderr)

    def _leave(self, where: str) -> None:
        self.cluster.meet("stopping")
        received = self._stop.received
        by = received.name if received else "the signal that another worker received"
        print(f"\nstopped by {by}; saved at {where}; the same command resumes", file=sys.stderr)
        raise SystemExit(128 + (received or signal.SIGTERM))
