"""Who may import whom, and what no file may do: the contracts hold, and each of them can fail."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.reference import ROOT
from tests.tree import files

PACKAGES = ("mobile_bench", "ofa_tf", "tools")
# What needs another Keras than the rest.
OTHER_PROCESS = {"ofa_tf.deploy.qat_process"}
CONVERTER = "ofa_tf/deploy/conversion.py"
# What makes files; and what runs them in TensorFlow's own interpreter, as apps do.
MAY_USE_TF_LITE = (CONVERTER, "benchmarks/client_worker.py")

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")


def contracts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def lint_imports(root):
    command = [pathlib.Path(sys.executable).parent / "lint-imports", "--no-cache"]
    variables = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "1000"}
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)


def test_every_room_has_a_contract():
    """`ofa_tf.common` may be imported by all; any other room without a contract would be open to all by accident."""
    rooms = {f"ofa_tf.{path.parent.name}" for path in (ROOT / "ofa_tf").glob("*/__init__.py")}
    protected = [name for contract in contracts() for name in contract.get("protected_modules", [])]
    assert sorted(set(protected) - OTHER_PROCESS) == sorted(rooms - {"ofa_tf.common"} | {"mobile_bench", "tools"})
    assert set(protected) > OTHER_PROCESS


@pytest.fixture(scope="module", name="copied")
def _copied(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_the_contracts_hold(copied):
    done = lint_imports(copied)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("ofa_tf/report", "from ofa_tf import networks", "Who may import ofa_tf.networks"),
        ("ofa_tf/search", "def late():\n    import tensorflow", "No TensorFlow where architectures are"),
        ("ofa_tf/deploy", "import tf_keras", "tensorflow_model_optimization"),
        ("ofa_tf/unlisted", "from ofa_tf import spaces", "Who may import ofa_tf.spaces"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(copied, room, line, contract):
    added = copied / room / "forbidden_import.py"
    new = not added.parent.exists()
    added.parent.mkdir(exist_ok=True)
    (added.parent / "__init__.py").touch()
    added.write_text(line + "\n")
    try:
        done = lint_imports(copied)
    finally:
        shutil.rmtree(added.parent) if new else added.unlink()
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert done.returncode == 1
    assert any(row.startswith(contract) for row in broken), done.stdout


def offences(source: str, path: str) -> list[str]:
    """What a file does that no file may: one text for each place."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found += [] if ast.unparse(node.value) == "False" else [f"line {node.value.lineno}: allow_pickle"]
        for name in names:
            root, _, rest = name.partition(".")
            if root in ("pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"):
                found.append(f"line {node.lineno}: {name}; data files are JSON, npz or Keras checkpoints")
            if root == "yaml" and rest.startswith(("load", "unsafe_load", "full_load", "Unsafe", "Full")):
                found.append(f"line {node.lineno}: {name}; use yaml.safe_load")
            if root in ("tf", "tensorflow") and "lite" in rest.split(".") and path not in MAY_USE_TF_LITE:
                found.append(f"line {node.lineno}: {name}; only {CONVERTER} may use it")
    return found


def test_no_file_does_what_none_may():
    paths = [str(path) for path in files() if path.suffix == ".py"]
    found = [f"{path}: {it}" for path in paths for it in offences((ROOT / path).read_text(encoding="utf-8"), path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib as j",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "yaml.load(text)",
        "from yaml import unsafe_load",
        "tf.lite.TFLiteConverter",
        "tf.compat.v1.lite.Interpreter(path)",
        "import tensorflow.lite",
        "from tensorflow import lite",
        "from tensorflow.lite.python import interpreter",
    ],
)
def test_what_no_file_may_do_is_noticed(line):
    assert offences(line, "ofa_tf/deploy/verify.py")


@pytest.mark.parametrize(
    "line", ["np.load(path, allow_pickle=False)", "yaml.safe_load(text)", "tf.io.read_file(path)", "'import pickle'"]
)
def test_what_every_file_may_do_is_not(line):
    assert not offences(line, "ofa_tf/deploy/verify.py")


def test_the_converter_may_use_tf_lite():
    assert not offences("tf.lite.TFLiteConverter", CONVERTER)
