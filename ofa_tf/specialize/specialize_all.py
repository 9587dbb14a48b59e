"""`specialize_all`: many targets, several at once, each in a process that may die."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from ofa_tf.common import OfaError, write_text
from ofa_tf.common.quiet import run_quietly
from ofa_tf.search.constraint import LatencyPredictor
from ofa_tf.specialize.job import RESULT, TRACEBACK, Job, do, failed
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_result import TargetResult
from ofa_tf.specialize.turns import Turns
from ofa_tf.specialize.workshop import Workshop

Measure = Callable[[Target, pathlib.Path], float]
Say = Callable[[Job, str], None]


def specialize_all(
    jobs: Sequence[Job],
    open_workshop: Callable[[], Workshop],
    *,
    table_of: Callable[[Target], LatencyPredictor | None],
    measure: Measure,
    place_of: Callable[[str], str] = lambda device: device,
    workers: int = 1,
    on_result: Callable[[Job, TargetResult], None] = lambda job, result: None,
    say: Say = lambda job, text: None,
) -> list[TargetResult]:
    """Does jobs; each result is written into its job's folder as soon as it is there.

    Measuring is done by this process: on each device one file at a time, and on this machine while no worker works. A
    worker that dies takes its target with it, which counts as failed, and no other.

    Args:
        jobs: what is to be done.
        open_workshop: opens what a worker needs; it must be picklable where there are workers.
        table_of: the latency table of a target, asked for when its turn comes.
        measure: the latency of a target's file on its device, in milliseconds.
        place_of: the device that a device really is, for example "host" for an emulator that runs here.
        workers: processes; 0 does one job after the other in this one.
        on_result: called with each result, one at a time.
        say: told what happens, one at a time.

    Returns:
        The results in the jobs' order.
    """
    done = _Done(on_result, say)
    if not workers:
        workshop = open_workshop()
        for job in jobs:
            measured = (lambda path, job=job: measure(job.target, path)) if job.attached else None
            try:
                table = table_of(job.target)
            except OfaError as error:
                done.add(job, failed(job, str(error)))
                continue
            done.add(job, do(job, workshop, table, measured, lambda text, job=job: done.tell(job, text)))
        return [done.results[id(job)] for job in jobs]
    left: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        left.put(job)
    turns = Turns()
    hands = [_Worker(open_workshop, turns, measure, place_of, workers) for _ in range(min(workers, len(jobs)))]

    def serve(worker: _Worker) -> None:
        while not done.stopped:
            try:
                job = left.get_nowait()
            except queue.Empty:
                return
            began = time.monotonic()
            try:
                result = worker.do(job, table_of(job.target), lambda text, job=job: done.tell(job, text))
            except OfaError as error:
                result = failed(job, str(error), time.monotonic() - began)
            except Exception as error:
                # A measurement that ended in the middle of a talk: the worker still waits for its answer.
                worker.end()
                write_text(job.folder / TRACEBACK, traceback.format_exc())
                result = failed(
                    job, f"an error of the program, {type(error).__name__}: {error}", time.monotonic() - began
                )
            if not done.stopped:
                done.add(job, result)

    with concurrent.futures.ThreadPoolExecutor(max(1, len(hands))) as threads:
        try:
            for future in [threads.submit(serve, worker) for worker in hands]:
                future.result()
        finally:
            # Where this is left by an exception (Ctrl-C), what is under way is given up.
            done.stopped = True
            for worker in hands:
                worker.end()
    return [done.results[id(job)] for job in jobs]


class _Done:
    """Results, and what is told of them, from several threads one at a time."""

    def __init__(self, on_result, say: Say):
        self._on_result, self._say = on_result, say
        self._lock = threading.Lock()
        self.results: dict[int, TargetResult] = {}
        self.stopped = False

    def add(self, job: Job, result: TargetResult) -> None:
        with self._lock:
            result.save(job.folder / RESULT)
            self.results[id(job)] = result
            self._on_result(job, result)

    def tell(self, job: Job, text: str) -> None:
        with self._lock:
            self._say(job, text)


class WorkerDiedError(OfaError):
    """A worker's process is gone."""


class _Worker:
    """One process, started when it is needed and again when it died."""

    def __init__(self, open_workshop, turns: Turns, measure: Measure, place_of, workers: int):
        self._open_workshop, self._turns, self._measure = open_workshop, turns, measure
        self._place_of, self._workers = place_of, workers
        self._process = self._connection = None

    def do(self, job: Job, table: LatencyPredictor | None, say: Callable[[str], None]) -> TargetResult:
        """Has the job done."""
        with self._turns.working():
            self._start()
            process, connection = self._process, self._connection
            try:
                connection.send((job, table))
                while True:
                    kind, value = connection.recv()
                    if kind == "result":
                        return value
                    if kind == "say":
                        say(value)
                        self._turns.pause()
                        connection.send(None)
                    else:
                        connection.send(self._measured(job, value))
            except (EOFError, OSError) as error:
                process.join(10)
                code = process.exitcode
                self.end()
                why = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
                raise WorkerDiedError(f"its process ended ({why}); was there too little memory?") from error

    def _measured(self, job: Job, path: pathlib.Path) -> float | OfaError:
        try:
            with self._turns.measuring(self._place_of(job.target.device)):
                return self._measure(job.target, path)
        except OfaError as error:
            return error

    def _start(self) -> None:
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self._workers)
        # The module's name instead of the function: importing it loads TensorFlow, which is to be quiet.
        arguments = ("ofa_tf.specialize.worker", "work", theirs, threads)
        self._process = context.Process(target=run_quietly, args=arguments, daemon=False)
        self._process.start()
        theirs.close()
        self._connection.send(self._open_workshop)

    def end(self) -> None:
        """Ends the process, at once."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            process.kill()
            process.join()
            with contextlib.suppress(OSError):
                connection.close()
