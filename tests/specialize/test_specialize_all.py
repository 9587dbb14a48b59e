"""Many targets: each result is kept, whatever becomes of the others, and nobody measures another's work."""

import dataclasses
import functools
import threading
import time

import pytest

from ofa_tf.common import OfaError
from ofa_tf.specialize import MODEL, Job, TargetResult, finished, source_of, specialize_all
from tests.specialize.small_workshop import MacsLatency, open_small_workshop, small_target


def jobs_of(folder, *targets, attached=False):
    return [Job(target, folder / target.folder_name, attached) for target in targets]


def kept(job) -> TargetResult:
    return TargetResult.load(job.folder / "result.json")


def test_failures_among_good_ones(workshop, tmp_path):
    """A limit that cannot be kept, and an error of the program, are results of one line like any other."""
    jobs = jobs_of(
        tmp_path,
        small_target("first"),
        small_target("impossible", limits={"macs": 10}),
        small_target("a bug", predictor="a bug"),
        small_target("no table", limits={"latency_ms": 3}),
        small_target("last"),
    )

    def table_of(target):
        if target.name == "no table":
            raise OfaError("the phone is lost")
        return MacsLatency()

    told = []
    results = specialize_all(
        jobs, lambda: workshop, table_of=table_of, measure=None, workers=0, on_result=lambda *it: told.append(it)
    )
    assert [result.status for result in results] == ["verified", "failed", "failed", "failed", "verified"]
    assert "cannot be kept" in results[1].reason
    assert "ZeroDivisionError: something nobody thought of (all of it in " in results[2].reason
    assert "Traceback" in (jobs[2].folder / "error.txt").read_text()
    assert results[3].reason == "the phone is lost"
    assert [kept(job) for job in jobs] == results == [result for _, result in told]


@pytest.mark.slow
def test_a_worker_that_dies_takes_one_target_with_it(tmp_path):
    """Two workers, one of which ends in the middle of a target; measuring is never disturbed and never doubled."""
    targets = [small_target(f"host {index}", limits={"latency_ms": 1.2 + 0.2 * index}) for index in range(3)]
    dying, broken = small_target("dying", predictor="dies"), small_target("broken")
    jobs = jobs_of(tmp_path, targets[0], dying, *targets[1:], broken, attached=True)
    measuring, overlaps, steps = threading.Lock(), [], []

    def measure(target, path):
        if target is broken:
            raise ZeroDivisionError("a clock that stands still")
        if not measuring.acquire(blocking=False):
            overlaps.append(target.name)
        first = len(steps)
        time.sleep(0.5)
        overlaps.extend(steps[first:])
        measuring.release()
        return 1.0

    results = specialize_all(
        jobs,
        open_small_workshop,
        table_of=lambda target: MacsLatency(),
        measure=measure,
        workers=2,
        say=lambda job, text: steps.append(text),
    )
    assert [result.status for result in results] == ["verified", "failed", "verified", "verified", "failed"]
    assert results[1].reason.startswith("its process ended (exit code 3)")
    # One that was busy when measuring began says once more that it is done with that.
    assert len(overlaps) <= 3
    assert [result.measured.get("latency_ms") for result in results] == [1.0, None, 1.0, 1.0, None]
    assert results[4].reason == "an error of the program, ZeroDivisionError: a clock that stands still"
    assert "Traceback" in (jobs[4].folder / "error.txt").read_text()


def test_finished_targets_are_known(workshop, tmp_path):
    """By target and weights; a failure is tried again, and so is what can be measured now."""
    source = source_of(workshop.opened)
    [job] = jobs_of(tmp_path, small_target())
    assert finished(job, source) is None
    run = functools.partial(specialize_all, table_of=lambda target: MacsLatency(), measure=None, workers=0)
    [result] = run([job], lambda: workshop)
    assert finished(job, source) == result
    assert finished(job, {**source, "weights": "others"}) is None
    assert result.source == {**source, "predictor": "macs"}
    assert finished(job, source, "macs") == result
    assert finished(job, source, "fitted again") is None
    dataclasses.replace(result, source=source).save(job.folder / "result.json")
    assert finished(job, source, "fitted again") is not None, "of an older version, which does not tell"
    result.save(job.folder / "result.json")
    [changed] = jobs_of(tmp_path, small_target(limits={"macs": 1e5}))
    assert finished(changed, source) is None
    [impossible] = jobs_of(tmp_path, small_target("no", limits={"macs": 1}))
    run([impossible], lambda: workshop)
    assert finished(impossible, source) is None
    [away] = jobs_of(tmp_path, small_target("away", device="phone", limits={"latency_ms": 3}))
    run([away], lambda: workshop)
    assert finished(away, source).status == "exported"
    [here] = jobs_of(tmp_path, away.target, attached=True)
    assert finished(here, source) is None
    foreign = Job(small_target("foreign", predictor="other"), tmp_path / "foreign", has_weights=False)
    run([foreign], lambda: workshop)
    assert finished(foreign, source).status == "architecture"
    assert finished(Job(foreign.target, foreign.folder), source) is None
    (job.folder / MODEL).unlink()
    assert finished(job, source) is None, "a report would link to a file that is not there"
