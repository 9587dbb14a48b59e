"""Silencing must never hide why something failed."""

import os

import pytest

from ofa_tf.common import quiet


def test_lines_of_native_code_are_dropped(capfd):
    with quiet.silenced_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_lines_are_shown_when_the_block_fails(capfd):
    @quiet.silenced_stderr()
    def fail():
        os.write(2, b"the reason\n")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capfd.readouterr().err == "the reason\n"


def test_a_log_level_of_the_users_own_is_kept(monkeypatch):
    """Someone who hunts a crash sets the level to 0 and sees everything."""
    monkeypatch.setenv(quiet.LEVEL, "0")
    monkeypatch.setattr(quiet.sys, "meta_path", before := list(quiet.sys.meta_path))
    quiet.quiet_tensorflow()
    assert os.environ[quiet.LEVEL] == "0"
    assert quiet.sys.meta_path == before
