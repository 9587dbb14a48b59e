"""What the processes of tests do; called by `ofa_tf.common.child`."""

import fcntl
import os
import signal
import sys
import time

from ofa_tf.common import InputError


def double(answer, name):
    """Answers each byte of stdin with its double, and chatters besides."""
    while byte := sys.stdin.buffer.read(1):
        print("chatter", flush=True)
        os.system("echo native chatter")
        answer(name=name, value=2 * byte[0])


def refuse(answer, *_):
    """Answers twice, then finds the input unusable."""
    answer(), answer()
    raise InputError("x.npz: no room")


def die(answer, *_):
    """Ends with words of two lines."""
    sys.exit("no memory\nat all")


def crash(answer, *_):
    """As native code does it."""
    os.kill(os.getpid(), signal.SIGSEGV)


def fork(answer, path):
    """Answers from a fork, which holds a lock on a file for longer than any test waits."""
    process = os.fork()
    if process == 0:
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            answer()
            time.sleep(60)
            os._exit(0)
    os.waitpid(process, 0)


def hang(answer, *_):
    """For longer than any test waits."""
    time.sleep(60)
