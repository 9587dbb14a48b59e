"""`Job`: a target with its place, and how one is done without an exception getting out."""

import dataclasses
import pathlib
import time
import traceback
from collections.abc import Callable

from ofa_tf.common import OfaError, brief, write_text
from ofa_tf.search.constraint import LatencyPredictor
from ofa_tf.specialize.specialize_target import MODEL, PREDICTOR, source_of, specialize_target
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_result import TargetResult
from ofa_tf.specialize.workshop import Workshop

RESULT = "result.json"
# Of an error that is nobody's mistake: its whole story.
TRACEBACK = "error.txt"


@dataclasses.dataclass(frozen=True)
class Job:
    """One target to be done.

    Args:
        target: what is wanted.
        folder: its results' folder.
        attached: whether its device is here and its latency is to be measured.
        has_weights: whether the supernet is of the space that is searched.
    """

    target: Target
    folder: pathlib.Path
    attached: bool = False
    has_weights: bool = True


def do(
    job: Job,
    workshop: Workshop,
    table: LatencyPredictor | None,
    measure: Callable[[pathlib.Path], float] | None,
    say: Callable[[str], None],
) -> TargetResult:
    """Specializes; what goes wrong is a result, with one line that says why. Arguments as in `specialize_target`."""
    began = time.monotonic()
    try:
        return specialize_target(
            job.target,
            job.folder,
            predictor=workshop.predictor(job.target),
            opened=workshop.opened,
            table=table,
            measure=measure,
            say=say,
        )
    except OfaError as error:
        reason = str(error)
    except EOFError:
        # The process that this one works for is gone.
        raise
    except Exception as error:
        path = job.folder / TRACEBACK
        write_text(path, traceback.format_exc())
        reason = f"an error of the program, {type(error).__name__}: {error} (all of it in {path})"
    return failed(job, reason, time.monotonic() - began, workshop)


def failed(job: Job, reason: str, seconds: float = 0.0, workshop: Workshop | None = None) -> TargetResult:
    """The result of a target that could not be done."""
    source = source_of(workshop.opened) if workshop else {}
    return TargetResult(job.target, "failed", source=source, reason=brief(reason, 1000), seconds=seconds)


def finished(job: Job, source: dict[str, str], predictor: str | None = None) -> TargetResult | None:
    """The result of an earlier run, where it is one of this very target, these weights and this predictor, and its
    file is there; None otherwise.

    Args:
        job: with the target.
        source: of the weights and images, see `specialize_target.source_of`.
        predictor: digest of the accuracy predictor, None where that cannot be had. It is not asked for then, nor of
            results of older versions, which do not tell it.
    """
    path = job.folder / RESULT
    if not path.exists():
        return None
    result = TargetResult.load(path)
    known = dict(result.source)
    asked = known.pop(PREDICTOR, None)
    same = (
        result.target.to_config() == job.target.to_config()
        and known in ({}, source)
        and (asked == predictor or None in (asked, predictor))
    )
    # A device, and weights, that were not there may be now.
    more = (result.status == "exported" and job.attached and "latency_ms" not in result.measured) or (
        result.status == "architecture" and job.has_weights
    )
    gone = result.status in ("verified", "exported") and not (job.folder / MODEL).exists()
    return result if same and result.finished and not more and not gone else None
