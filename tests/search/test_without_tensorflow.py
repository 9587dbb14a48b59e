"""Describing, predicting and searching architectures must not cost the start of TensorFlow."""

import subprocess
import sys

import pytest

from tests.reference import ROOT


@pytest.mark.parametrize("room", ["ofa_tf.spaces.features", "ofa_tf.predictors", "ofa_tf.search"])
def test_the_room_imports_without_tensorflow(room):
    program = f"import sys, {room}; print(sorted({{'tensorflow', 'keras', 'tf_keras', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
