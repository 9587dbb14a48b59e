"""A user's type checker sees real types: py.typed is there, and the public call is not hidden behind lazy imports."""

import re
import subprocess
import sys

import pytest

from tests.reference import ROOT


def test_the_readmes_python_has_types(tmp_path):
    """mypy on the first example, asked what it takes the names for; and on a mistake in it."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    [code] = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    file = tmp_path / "example.py"
    file.write_text(f"{code}\nreveal_type(result)\nreveal_type(result.path)\nofa_tf.specialize('x', output=3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--follow-imports=silent",
         f"--cache-dir={tmp_path}", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert revealed == ["ofa_tf.specialize.target_result.TargetResult", "pathlib.Path | None"], done.stdout
    assert 'Argument "output" to "specialize" has incompatible type "int"' in done.stdout
