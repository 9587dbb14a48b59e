"""`Work`: a target on its way to a result, which is kept after every step, whatever goes wrong."""

import dataclasses
import os
import pathlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence

import tqdm

from ofa_tf.common import InputError, OfaError, brief, write_text
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.search.constraint import LatencyPredictor
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.rounds import remove_checkpoints, specialize_target, with_latency
from ofa_tf.specialize.subnet_files import file_top1
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_devices import TargetDevices
from ofa_tf.specialize.target_result import NAMES, PREDICTOR, RESULT, TargetResult

# Of an error that is nobody's mistake: its whole story.
TRACEBACK = "error.txt"

PredictorOf = Callable[[Target], AccuracyPredictor]


def say(text: str) -> None:
    """A line of progress, above a bar that is there."""
    tqdm.tqdm.write(text, file=sys.stderr)


@dataclasses.dataclass(eq=False)
class Work:
    """A target, and how far it is."""

    target: Target
    folder: pathlib.Path
    predictor: AccuracyPredictor | None
    mistake: OfaError | None
    is_measured: bool
    result: TargetResult | None

    @property
    def sides(self) -> Sequence[int]:
        """The image sides that are searched."""
        known = self.predictor.space.resolutions
        return self.target.resolutions or [side for side in known if side in self.predictor.resolutions]

    @property
    def is_to_make(self) -> bool:
        return self.result is None or (self.result.status == "exported" and bool(self.result.over))

    @property
    def is_to_measure(self) -> bool:
        exported = self.result is not None and self.result.status == "exported"
        return exported and self.is_measured and "latency_ms" in self.result.unmeasured

    @property
    def is_open(self) -> bool:
        return self.is_to_make or self.is_to_measure

    def say(self, text: str) -> None:
        say(f"    {self.target.name}: {text}")

    def attempt(self, step: Callable[[], TargetResult]) -> None:
        """Takes a step; what goes wrong is a result, with one line that says why. The result is kept at once."""
        began = time.monotonic()
        try:
            self.result = step().save(self.folder / RESULT)
        except OfaError as error:
            self.fail(str(error), time.monotonic() - began)
        except Exception as error:
            path = self.folder / TRACEBACK
            write_text(path, traceback.format_exc())
            reason = f"an error of the program, {type(error).__name__}: {error} (all of it in {path})"
            self.fail(reason, time.monotonic() - began)

    def fail(self, reason: str, seconds: float = 0.0) -> None:
        """Ends it; what is known of its last file stays in the result."""
        result = self.result or TargetResult(self.target, "failed")
        seconds += result.seconds
        result = dataclasses.replace(result, status="failed", reason=brief(reason, 1000), seconds=seconds)
        self.result = result.save(self.folder / RESULT)


def work_of(
    target: Target, output: pathlib.Path, opened: Opened | None, predictor_of: PredictorOf, bench: TargetDevices
) -> Work:
    predictor = mistake = None
    try:
        predictor = predictor_of(target)
    except OfaError as error:
        # Its turn will tell.
        mistake = error
    has_weights = predictor is not None and opened is not None and opened.net.space.same_weights(predictor.space)
    is_measured = has_weights and "latency_ms" in target.limits and bench.is_attached(target.device)
    folder = output / "targets" / target.folder_name
    kept = _kept(target, folder, opened, predictor, has_weights)
    return Work(target, folder, predictor, mistake, is_measured, kept)


def _kept(
    target: Target, folder: pathlib.Path, opened: Opened | None, predictor: AccuracyPredictor | None, has_weights: bool
) -> TargetResult | None:
    """The result of an earlier run, where it is of this very target, these weights and this predictor, and its file is
    there; None where the target is begun anew."""
    if not (folder / RESULT).exists():
        return None
    try:
        result = TargetResult.load(folder / RESULT)
    except InputError as error:
        # One that is damaged costs the other targets nothing.
        say(f"    {target.name}: {error}")
        return None
    known = dict(result.source)
    # Results of older versions do not tell their predictor, nor what their classes are called.
    asked, named = known.pop(PREDICTOR, None), known.pop(NAMES, None)
    if (
        not _asks_the_same(result.target, target)
        or known not in ({}, opened.digests if opened else {})
        or (predictor is not None and asked not in (None, predictor.digest))
        or (opened is not None and named not in (None, opened.names_digest))
    ):
        return None
    if result.status == "architecture":
        # The weights may be here now.
        return None if has_weights else result
    if result.path is None:
        return None
    if result.status == "failed":
        # Where only the measurement is missing, the device may be here now; else another try may be luckier.
        return None if result.over else dataclasses.replace(result, status="exported", reason="")
    return result


def _asks_the_same(one: Target, other: Target) -> bool:
    """Whether two targets have the same settings; a path of the first counts as the same however it is spelled, and
    where nothing is there any more and the last two names of the second are the same: all of it was moved."""
    ours, theirs = one.to_config(), other.to_config()
    for name in ("latency_table", "predictor"):
        if None in (ours[name], theirs[name]):
            continue
        before, now = (pathlib.Path(os.path.abspath(fields[name])) for fields in (ours, theirs))
        if before == now or (before.parts[-2:] == now.parts[-2:] and not before.exists()):
            ours[name] = theirs[name]
    return ours == theirs


def measure(work: Work, bench: TargetDevices) -> None:
    def step() -> TargetResult:
        work.say("measure latency")
        began = time.monotonic()
        result = with_latency(work.result, bench.measure_ms(work.target, work.result.path), work.say)
        remove_checkpoints(result, work.folder)
        return dataclasses.replace(result, seconds=result.seconds + time.monotonic() - began)

    work.attempt(step)


def make(work: Work, open_supernet: Callable[[], Opened | None], table: LatencyPredictor | None) -> Work:
    # What a former target of this name left says nothing of the file that is made now, which takes the former's place.
    if work.result is None and (work.folder / RESULT).exists():
        work.say("begun anew: what is here was made with other settings, weights, images or names, or failed")
        (work.folder / RESULT).unlink()
    work.attempt(
        lambda: specialize_target(
            work.target,
            work.folder,
            predictor=work.predictor,
            opened=open_supernet(),
            table=table,
            previous=work.result,
            say=work.say,
        )
    )
    return work


def test(work: Work, opened: Opened) -> None:
    """Adds the file's accuracy on the test split to a result that lacks it, or has one of other images."""
    if "test" not in opened.dataset.splits:
        if work.result.test_top1 is not None:
            work.result = dataclasses.replace(work.result, test_top1=None, test_images=None, test_data=None).save(
                work.folder / RESULT
            )
        return
    result, digest = work.result, opened.dataset.split("test").content_digest
    if result.path is None or (result.test_top1 is not None and result.test_data == digest):
        return
    work.say("test images, for the report")
    try:
        top1, images = file_top1(opened, result.path, result.arch.r, split="test")
    except OfaError as error:
        # The file is there and checked; the report only lacks a figure.
        work.say(f"test images: {error}")
        return
    work.result = dataclasses.replace(result, test_top1=top1, test_images=images, test_data=digest).save(
        work.folder / RESULT
    )
