"""Many targets at once: processes make files, this one measures them, and what is over its limits is made again.

Each round, the processes make the files of all targets that are left. Phones are measured as soon as there is a file
for them; this machine is measured when no process works any more, so that nothing disturbs it. Every result is in its
target's folder as soon as it is there, and is all that a run which was stopped needs to go on.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

from ofa_tf import devices, zoo
from ofa_tf.common import InputError, OfaError
from ofa_tf.common.locks import locked
from ofa_tf.common.quiet import run_quietly
from ofa_tf.data.names import label_facts
from ofa_tf.deploy.qat import check_form
from ofa_tf.predictors import AccuracyPredictor
from ofa_tf.search.constraint import LatencyPredictor
from ofa_tf.specialize.learning import PREDICTOR_FILE, learn
from ofa_tf.specialize.opened import Opened, open_source
from ofa_tf.specialize.predictors import open_accuracy_predictor
from ofa_tf.specialize.target import Target
from ofa_tf.specialize.target_devices import TargetDevices
from ofa_tf.specialize.target_result import TargetResult
from ofa_tf.specialize.work import PredictorOf, Work, make, measure, say, test, work_of

# What `train_supernet` calls a run's own, and what the demo did before.
_OWN = (PREDICTOR_FILE, "accuracy_predictor.npz")

# Targets, each with its latency table.
Calls = Sequence[tuple[Work, LatencyPredictor | None]]


@dataclasses.dataclass(frozen=True)
class Specialization:
    """What a call of `specialize` did.

    Args:
        output: the folder of everything.
        results: one for each target, in their order.
        opened: the supernet and its images, None where there was none.
        predictor_of: gives a target's accuracy predictor.
        devices: with the tables of the targets' devices.
        unlearned: why nothing could be learned, where that was asked for.
    """

    output: pathlib.Path
    results: Sequence[TargetResult]
    opened: Opened | None
    predictor_of: PredictorOf
    devices: TargetDevices
    unlearned: OfaError | None = None

    @property
    def failed(self) -> list[TargetResult]:
        """The results of targets that could not be done."""
        return [result for result in self.results if result.status == "failed"]


def specialize_targets(
    targets: Sequence[Target],
    output: str | os.PathLike,
    *,
    opened: Opened | Callable[[], Opened] | None,
    predictor: str | os.PathLike | AccuracyPredictor | None = None,
    workers: int = 0,
    learning: bool = False,
    tested: bool = False,
    on_done: Callable[[Specialization], None] = lambda done: None,
    settings: devices.Settings | None = None,
    options: devices.BenchmarkOptions | None = None,
) -> Specialization:
    """Does every target that is not done yet, see `specialize`.

    Args:
        targets: with different names.
        output: the folder of everything that is written.
        opened: the supernet and its images, or what makes them while no other process may work on the folder; None
            where only architectures are wanted.
        predictor: of accuracies, or what names one; the supernet's own unless given.
        workers: processes that make files at once; 0 makes them in this one.
        learning: whether measurements flow back into tables and accuracy pairs.
        tested: whether files are run on the test split in the end, where there is one: for the report, not to decide.
        on_done: called with the results before anything is learned from them, while no other process may work on the
            folder.
        settings: of devices.
        options: of measuring on phones.

    Raises:
        InputError: a mistake that no single target can be blamed for.
    """
    names = [target.folder_name.lower() for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"targets: two are called {name}; give each a name of its own")
    if not names:
        raise InputError("targets: there are none, expected at least one")
    output = pathlib.Path(output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file, expected a folder for the results; give another one")
    for target in targets:
        if target.quantization_aware_epochs:
            # Before a table is built, or a supernet trained.
            _check_form(target)
    held = f"{output}: another process works on it; wait for its end, or give another folder"
    with locked(output / ".lock", held):
        devices_of = functools.partial(TargetDevices, output / "tables", settings=settings, options=options, say=say)
        if callable(opened):
            # One of its own, as it remembers what was not here: that may come while the supernet is made.
            devices_of().tell_missing(targets)
            opened = opened()
        predictor_of = _predictors(opened, predictor)
        bench = devices_of()
        if opened is not None:
            # A mistake in the names of the classes is no single target's, and would be told after its training.
            label_facts(opened.dataset)
        works = [work_of(target, output, opened, predictor_of, bench) for target in targets]
        if not any(work.predictor for work in works):
            # A mistake that is no single target's: its line is the answer.
            predictor_of(targets[0])
        left = [work for work in works if work.is_open]
        if len(left) < len(works):
            say(f"{len(works) - len(left)} of {len(works)} targets are finished already")
        bench.build_tables([(work.target, work.predictor.space, work.sides) for work in left if work.is_measured])
        total, began = len(left), time.monotonic()
        with contextlib.ExitStack() as stack:
            make_all, beside = functools.partial(_make_here, opened), False
            # One target is not worth a process that opens everything once more.
            if workers and len(left) > 1 and opened is not None and opened.source is not None:
                make_all, beside = (
                    stack.enter_context(_Processes(opened.source, min(workers, len(left)))).make_all,
                    True,
                )
            while left:
                for work in _round(tuple(left), make_all, bench, beside=beside):
                    if not work.is_open:
                        left.remove(work)
                        _tell(work, total, left, time.monotonic() - began)
        if tested and opened is not None:
            for work in works:
                test(work, opened)
        done = Specialization(output, [work.result for work in works], opened, predictor_of, bench)
        on_done(done)
        if learning:
            try:
                learn(output, done.results, predictor_of, opened, bench, say)
            except OfaError as error:
                # After the results, which are there.
                return dataclasses.replace(done, unlearned=error)
    return done


def _check_form(target: Target) -> None:
    try:
        check_form(target.file_form())
    except InputError as error:
        raise InputError(f"target {target.name}: {error}") from error


def _round(
    left: Sequence[Work], make_all: Callable[[Calls], Iterator[Work]], bench: TargetDevices, *, beside: bool
) -> Iterator[Work]:
    """Makes and measures one file of each target; gives measured ones after all are made, others as they are ready.

    Phones are measured `beside` making files only where that is done by other processes: a conversion in this one takes
    the terminal away from other threads.
    """
    ready, calls = [], []
    for work in left:
        if not work.is_to_make:
            ready.append(work)
            continue
        try:
            if work.mistake is not None:
                raise work.mistake
            calls.append((work, bench.table(work.target)))
        except OfaError as error:
            work.fail(str(error))
            ready.append(work)
    here: list[Work] = []
    waiting: list[Work] = []
    with contextlib.ExitStack() as stack:
        phones: dict[str, concurrent.futures.Executor] = {}
        on_phones: dict[concurrent.futures.Future, Work] = {}

        def begin(work: Work) -> None:
            """One file at a time on each phone, whatever its targets call it."""
            device = bench.machine(work.target.device)
            if device not in phones:
                phones[device] = concurrent.futures.ThreadPoolExecutor(1)
                # Where this is left by an exception (Ctrl-C), nothing more is begun.
                stack.callback(phones[device].shutdown, cancel_futures=True)
            on_phones[phones[device].submit(measure, work, bench)] = work

        for work in itertools.chain(ready, make_all(calls)):
            if not work.is_to_measure:
                yield work
            elif bench.machine(work.target.device) == devices.HOST:
                here.append(work)
            elif beside:
                begin(work)
            else:
                waiting.append(work)
        for work in waiting:
            begin(work)
        for future in concurrent.futures.as_completed(on_phones):
            future.result()
            yield on_phones[future]
    for work in here:
        measure(work, bench)
        yield work


def _make_here(opened: Opened | None, calls: Calls) -> Iterator[Work]:
    return (make(work, lambda: opened, table) for work, table in calls)


class _Processes:
    """Processes that make files; one that dies takes one target with it, and no other."""

    def __init__(self, source: Mapping[str, str | None], count: int):
        self._source, self._count = tuple(source.items()), count
        self._others = set(multiprocessing.active_children())
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Processes":
        return self

    def __exit__(self, kind, *_) -> None:
        # Where this is left by an exception (Ctrl-C), what is under way is given up. Else they end by themselves: of
        # one that is killed, Python says at the end that it left semaphores.
        if kind is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()
        self._end()

    def make_all(self, calls: Calls) -> Iterator[Work]:
        """Makes a file for each, with its latency table; gives them as they are ready."""
        futures = {self._submit(work, table): (work, table) for work, table in calls}
        died = []
        for future in concurrent.futures.as_completed(futures):
            work, _ = call = futures[future]
            try:
                work.result = future.result()
            except BrokenProcessPool:
                died.append(call)
            else:
                yield work
        # Which of them ended its process is not known: alone, each tells.
        if died:
            self._end()
        for work, table in died:
            try:
                work.result = self._submit(work, table).result()
            except BrokenProcessPool:
                self._end()
                work.fail("its process ended; was there too little memory?")
            yield work

    def _submit(self, work: Work, table: LatencyPredictor | None) -> concurrent.futures.Future:
        if self._pool is None:
            threads = max(1, (os.cpu_count() or 1) // self._count)
            # The module's name instead of the function: importing it loads TensorFlow, which is to be quiet.
            begin = (__name__, "_begin_process", threads)
            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(self._count, context, run_quietly, begin)
        try:
            return self._pool.submit(_make_in_process, self._source, work, table)
        except BrokenProcessPool:
            # One that had nothing to do was killed.
            self._end()
            return self._submit(work, table)

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def _begin_process(threads: int) -> None:
    """Prepares a process that makes files."""
    import tensorflow as tf

    # Ctrl-C is for the process that this one works for, which ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def _end_with_parent() -> None:
    """A process whose parent was killed would go on, and write where its parent's successor does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


@functools.cache
def _open_once(source: tuple[tuple[str, str | None], ...]) -> Opened:
    # What there is to say of the images was said where the work began.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_source(**dict(source))


def _make_in_process(source, work: Work, table: LatencyPredictor | None) -> TargetResult:
    return make(work, lambda: _open_once(source), table).result


def _tell(work: Work, total: int, left: Sequence[Work], seconds: float) -> None:
    done = total - len(left)
    # Of files that are there already only the measurement is left, which takes seconds.
    minutes = seconds / done * sum(other.is_to_make for other in left) / 60
    say(f"[{done}/{total}] {work.result.summary()}" + (f"; about {minutes:.0f} min left" if minutes >= 1 else ""))


def _predictors(opened: Opened | None, given: str | os.PathLike | AccuracyPredictor | None) -> PredictorOf:
    """What gives a target's accuracy predictor; each is opened once."""
    open_named = functools.cache(open_accuracy_predictor)

    def predictor_of(target: Target) -> AccuracyPredictor:
        if target.predictor is None and not isinstance(given, str | os.PathLike | None):
            return given
        return open_named(os.fspath(target.predictor or given or _own_predictor(opened)))

    return predictor_of


def _own_predictor(opened: Opened | None) -> str:
    """The name of a supernet's own predictor."""
    source = (opened.source if opened else None) or {}
    run_dir, supernet = opened.run.path if opened and opened.run else None, source.get("supernet")
    if supernet in zoo.accuracy_predictor_names():
        return supernet
    for name in _OWN if run_dir is not None else ():
        if (pathlib.Path(run_dir) / name).exists():
            return str(pathlib.Path(run_dir) / name)
    if run_dir is not None:
        asked, pairs, made, then = f"--run_dir={run_dir}", f"{run_dir}/accuracy.jsonl", f"{run_dir}/{_OWN[0]}", ""
    else:
        asked = f"--supernet={supernet or 'FILE'} --data_dir=DIR --output=pairs.jsonl"
        pairs, made, then = "pairs.jsonl", "predictor.npz", ", and give --predictor=predictor.npz"
    raise InputError(
        f"--predictor: none given, and {run_dir or supernet or ('the supernet' if opened else 'a missing --supernet')} "
        f"has none; make one: python -m tools.collect_accuracy {asked}, then python -m tools.fit_accuracy_predictor "
        f"--pairs={pairs} --output={made}{then}"
    )
