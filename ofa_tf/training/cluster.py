"""`Cluster`: where a run trains: one device, all devices of a machine, or several machines."""

import contextlib
import dataclasses
import json
import os
import re
import signal
from collections.abc import Iterator

import tensorflow as tf

from ofa_tf.common import InputError, OfaError
from ofa_tf.training.watchdog import Watchdog

KINDS = ("auto", "one", "mirrored", "workers")

# What a peer that is gone or torn apart looks like from here.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.OutOfRangeError,
    tf.errors.UnknownError,
    tf.errors.FailedPreconditionError,
)

# The first step is traced while it is timed; machines trace at different speeds.
_TRACING_S = 240.0


@dataclasses.dataclass(frozen=True, eq=False)
class Cluster:
    """The devices of a run, and this process's place among its workers.

    Args:
        strategy: what variables and steps are made under.
        worker: this process's number.
        workers: how many there are.
        watchdog: limits every wait for the others.

    Example:
        cluster = Cluster.open("auto")
        with cluster.strategy.scope():
            net = networks.build(space)
    """

    strategy: tf.distribute.Strategy = dataclasses.field(default_factory=tf.distribute.get_strategy)
    worker: int = 0
    workers: int = 1
    watchdog: Watchdog | None = None

    @staticmethod
    def open(kind: str = "auto", *, timeout_s: float = 45.0) -> "Cluster":
        """Makes the strategy; with several workers it waits for all of them. Before anything else runs in TensorFlow.

        Args:
            kind: "one" device; "mirrored" over all devices of this machine; "workers", the machines of the environment
                variable TF_CONFIG; "auto": what TF_CONFIG or the number of GPUs says.
            timeout_s: seconds that a worker waits for another one.

        Raises:
            InputError: TF_CONFIG is missing or cannot be used.
            OfaError: the others cannot be reached.
        """
        if kind not in KINDS:
            raise InputError(f"--distribute={kind}: expected one of {', '.join(KINDS)}")
        gpus = tf.config.list_physical_devices("GPU")
        if kind == "auto":
            kind = "workers" if os.environ.get("TF_CONFIG") else "mirrored" if len(gpus) > 1 else "one"
        if kind == "one":
            return Cluster()
        if kind == "mirrored":
            devices = None if gpus else [device.name for device in tf.config.list_logical_devices("CPU")]
            return Cluster(tf.distribute.MirroredStrategy(devices))
        worker, workers = _place(os.environ.get("TF_CONFIG", ""))
        watchdog = Watchdog(timeout_s)
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout_s)
        on_term = signal.getsignal(signal.SIGTERM)
        with _lost_peers("making the cluster", watchdog), watchdog.limit(f"making the cluster of {workers} workers"):
            strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        # The strategy's own handler would keep SIGTERM from ending the process.
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, on_term)
        return Cluster(strategy, worker, workers, watchdog)

    @property
    def replicas(self) -> int:
        """The number of devices that train, of all workers."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run's files."""
        return self.worker == 0

    @contextlib.contextmanager
    def waiting(self, what: str, *, tracing: bool = False) -> Iterator[None]:
        """Around everything that waits for the other workers: bounded, and a lost one is one clear error.

        Args:
            what: is done, for the message.
            tracing: whether a function is traced on the way, which takes long.

        Raises:
            OfaError: a worker was lost.
        """
        if self.watchdog is None:
            yield
            return
        # In this order: the end of a limit takes away whatever timer was set inside it.
        with _lost_peers(what, self.watchdog), self.watchdog.limit(what, _TRACING_S if tracing else 0.0):
            yield

    def meet(self, what: str) -> None:
        """Waits until all workers are here."""
        if self.workers > 1:
            with self.waiting(what):
                total = self.strategy.run(
                    tf.function(
                        lambda: tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.ones(()))
                    )
                )
                self.strategy.experimental_local_results(total)[0].numpy()


@contextlib.contextmanager
def _lost_peers(what: str, watchdog: Watchdog) -> Iterator[None]:
    try:
        yield
    except _LOST as error:
        watchdog.leave_within(10.0)
        reason = re.sub(r"\s+", " ", error.message).strip()
        raise OfaError(
            f"{what}: another worker was lost ({type(error).__name__}: {reason[:120]}); what was saved is kept: start "
            f"all workers again with the same command, they resume"
        ) from error


def _place(text: str) -> tuple[int, int]:
    """This process's number, the chief's being 0, and the number of workers, of a TF_CONFIG."""
    example = '{"cluster": {"worker": ["host0:4000", "host1:4000"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        chiefs, workers = (config["cluster"].get(kind, []) for kind in ("chief", "worker"))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        ["", *chiefs, *workers][1 + index + (len(chiefs) if kind == "worker" else 0)]
        if kind not in ("chief", "worker") or len(chiefs) > 1 or index < 0:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        found = text if len(text) <= 200 else f"{text[:197]}..."
        raise InputError(f"TF_CONFIG: found {found or 'nothing'!r}, expected something like {example}") from error
    return index + (len(chiefs) if kind == "worker" else 0), len(chiefs) + len(workers)


def set_deterministic() -> None:
    """From now on, operations give the same bits in every run; to be called before anything else runs."""
    tf.keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
