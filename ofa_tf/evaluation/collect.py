"""Measuring the accuracy of many sub-networks, the data of accuracy predictors: here, or by the workers of a `Farm`."""

import dataclasses
import functools
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from ofa_tf.common import InputError, OfaError
from ofa_tf.evaluation.evaluator import Evaluation, Evaluator
from ofa_tf.spaces import Arch, Space


def draw_architectures(space: Space, count: int, seed: int) -> list[Arch]:
    """Different random architectures, the largest and the smallest at each resolution first.

    The corners keep a predictor from extrapolating. Asking for more gives the same ones and some more.

    Example:
        draw_architectures(space, 100, seed=0) == draw_architectures(space, 200, seed=0)[:100]
    """
    drawn = {}
    for resolution in reversed(space.resolutions):
        for corner in (space.largest(), space.smallest()):
            drawn[space.canonical(dataclasses.replace(corner, r=resolution))] = None
    for index in range(20 * count):
        if len(drawn) >= count:
            break
        drawn[space.sample(np.random.default_rng([seed, index]))] = None
    if len(drawn) < count:
        warnings.warn(
            f"space {space.name}: {len(drawn)} different sub-networks were drawn, {count} were asked for; it may have "
            f"no more",
            stacklevel=2,
        )
    return list(drawn)[:count]


def collect(
    evaluator: Evaluator, archs: list[Arch], *, split: str, limit: int | None = None, known: Callable[[Arch], bool]
) -> Iterator[Evaluation]:
    """Evaluates architectures one after the other, with a progress bar.

    Args:
        evaluator: of the supernet.
        archs: what to evaluate.
        split: which images, "validation" for a predictor's data.
        limit: at most so many images, evenly spaced over the split.
        known: says which architectures are measured already and are passed over.

    Yields:
        An `Evaluation` for each of the others, as soon as it is there, so that a caller can store it at once.
    """
    for arch in tqdm.tqdm(archs, desc="collect", unit="subnet", dynamic_ncols=True, file=sys.stderr):
        if not known(arch):
            yield evaluator.evaluate(arch, split=split, limit=limit)


# An architecture that ends this many workers is not the workers' fault.
_ATTEMPTS = 3
_CONNECT_S = 5.0


class Farm:
    """Ray actors that each hold the supernet.

    What a lost worker was evaluating is given to a fresh one. Results come in the order in which they are ready; which
    they are depends on nothing but the architectures.

    Args:
        open_evaluator: opens the supernet and the images, called once in each worker; Ray must be able to pickle it.
        address: of a Ray cluster, or "local" for one on this machine only, which ends with this process.
        workers: how many.
        timeout_s: how long no worker may be ready before the one that began first counts as lost.

    Source: docs/design_notes.md, "Ray".

    Example:
        farm = Farm(functools.partial(evaluator_of, run_dir="runs/photos"), "local", workers=2)
        for evaluation in farm.collect(archs, split="validation", known=lambda arch: False):
            ...
    """

    def __init__(
        self, open_evaluator: Callable[[], Evaluator], address: str, workers: int, *, timeout_s: float = 1800.0
    ):
        self.open_evaluator = open_evaluator
        self.address = address
        self.workers = workers
        self.timeout_s = timeout_s

    def collect(
        self, archs: list[Arch], *, split: str, limit: int | None = None, known: Callable[[Arch], bool]
    ) -> Iterator[Evaluation]:
        """As `evaluation.collect`, by the workers.

        Raises:
            InputError: Ray is not installed, or the cluster is not reached.
            OfaError: an architecture ended one worker after the other, or an evaluation failed.
        """
        ray = self._ray()
        from ray.exceptions import RayActorError, RayTaskError

        waiting = [arch for arch in archs if not known(arch)]
        attempts = dict.fromkeys(waiting, 0)
        evaluator = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        running, bar = {}, tqdm.tqdm(
            total=len(archs), initial=len(archs) - len(waiting), desc="collect", unit="subnet", dynamic_ncols=True,
            file=sys.stderr,
        )  # fmt: skip
        waiting.reverse()

        def hand_out(actor) -> None:
            if waiting:
                arch = waiting.pop()
                attempts[arch] += 1
                running[actor.evaluate.remote(arch, split, limit)] = actor, arch

        try:
            for _ in range(min(self.workers, len(waiting))):
                hand_out(evaluator.remote(self.open_evaluator))
            while running:
                ready, _ = ray.wait(list(running), timeout=self.timeout_s)
                # Nothing in all that time: the longest-running one is lost.
                reference = ready[0] if ready else next(iter(running))
                actor, arch = running.pop(reference)
                try:
                    if not ready:
                        ray.kill(actor)
                    result = ray.get(reference)
                except RayActorError as error:
                    if attempts[arch] >= _ATTEMPTS:
                        raise OfaError(
                            f"evaluating {arch.to_json()} ended {_ATTEMPTS} workers, the last with: {_line(error)}"
                        ) from error
                    bar.write(f"a worker was lost ({_line(error)}); its sub-network is done again", file=sys.stderr)
                    waiting.append(arch)
                    hand_out(evaluator.remote(self.open_evaluator))
                    continue
                except RayTaskError as error:
                    cause = error.cause
                    raise (
                        cause if isinstance(cause, OfaError) else OfaError(f"a worker failed: {_line(cause)}")
                    ) from error
                bar.update()
                hand_out(actor)
                yield result
        finally:
            bar.close()
            ray.shutdown()

    def _ray(self):
        """The connected module."""
        local = self.address == "local"
        if local:
            # Else it would listen on every interface.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError as error:
            raise InputError(f"--ray_address={self.address}: Ray is not installed; pip install ray") from error
        if not local:
            self._check_reachable()
        options = {"num_cpus": self.workers, "include_dashboard": False} if local else {"address": self.address}
        # The workers import what this process imports.
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {"env_vars": {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}}
        try:
            ray.init(**options, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise self._unreachable(error) from error
        return ray

    def _check_reachable(self) -> None:
        """Ray itself would try for minutes."""
        host, colon, port = self.address.removeprefix("ray://").rpartition(":")
        if colon and port.isdecimal():
            try:
                socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
            except (OSError, OverflowError) as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> InputError:
        return InputError(
            f"--ray_address={self.address}: no Ray cluster is reached there ({_line(error)}); start one with "
            f"`ray start --head`, or give local"
        )


class _Worker:
    """What runs in each process."""

    def __init__(self, open_evaluator: Callable[[], Evaluator]):
        self._open = open_evaluator

    @functools.cached_property
    def _evaluator(self) -> Evaluator:
        # Not in `__init__`, from which Ray tells an error only as a dead worker.
        return self._open()

    def evaluate(self, arch: Arch, split: str, limit: int | None) -> Evaluation:
        """Calibrates and evaluates one sub-network."""
        return self._evaluator.evaluate(arch, split=split, limit=limit)


def _line(error: BaseException) -> str:
    """The first line of an error, short enough for a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
