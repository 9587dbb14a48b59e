"""The process that `specialize_all` has targets specialized in."""

import multiprocessing
import os
import pathlib
import signal
import threading
from multiprocessing.connection import Connection, wait

import tensorflow as tf

from ofa_tf.common import OfaError
from ofa_tf.specialize.job import do, failed


def work(connection: Connection, threads: int) -> None:
    """Does jobs until the connection is closed.

    Args:
        connection: gives a function that opens the workshop, then jobs, each with its latency table; takes what is
            said, what is to be measured, and results. What is said is answered when the work may go on.
        threads: that TensorFlow may use.
    """
    # Ctrl-C is for the process that this one works for, which ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(threads)

    def ask(kind: str, value):
        connection.send((kind, value))
        answer = connection.recv()
        if isinstance(answer, OfaError):
            raise answer
        return answer

    def say(text: str) -> None:
        ask("say", text)

    def measure(path: pathlib.Path) -> float:
        return ask("measure", path)

    try:
        open_workshop, workshop = connection.recv(), None
        while True:
            job, table = connection.recv()
            try:
                if workshop is None:
                    say("open the supernet")
                    workshop = open_workshop()
                result = do(job, workshop, table, measure if job.attached else None, say)
            except OfaError as error:
                result = failed(job, str(error))
            connection.send(("result", result))
    except (EOFError, BrokenPipeError):
        return


def _end_with_parent() -> None:
    """A process whose parent was killed would go on, and write where its parent's successor does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
