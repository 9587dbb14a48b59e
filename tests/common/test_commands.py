"""Texts name commands as they are called where they are read: by module in a checkout, by script from a wheel."""

import copy

from ofa_tf.common import InputError, as_called

TEXT = "a.json: make one with tools.fit_accuracy_predictor, or see python -m\n    mobile_bench.devices; tools.train."


def test_a_checkout_has_modules():
    assert as_called(TEXT, installed=False) == TEXT
    assert str(InputError(TEXT)) == TEXT


def test_a_wheel_has_scripts():
    assert as_called(TEXT, installed=True) == (
        "a.json: make one with ofa-fit-accuracy-predictor, or see ofa-devices; ofa-train."
    )
    assert as_called("python -m tools.search --front", installed=True) == "ofa-search --front"


def test_what_is_no_command_stays():
    """Files of that name, and parts of longer names."""
    text = "/home/tools.search, my.tools.search, tools.train.json, tools.opening.open_source, tools/search.py"
    assert as_called(text, installed=True) == text


def test_errors_cross_processes():
    """Workers send theirs to the process that started them, which makes them anew."""
    error = copy.copy(InputError("--arch: not there"))
    assert (str(error), error.exit_code) == ("--arch: not there", 2)
