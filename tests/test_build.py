"""The BUILD files: Bazel loads them, every folder with Python has one, and what is imported from PyPI is in them."""

import ast
import os
import re
import shutil
import subprocess

import pytest

from tests.reference import ROOT
from tests.tree import distributions, files, normalized

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")

# Of extras that neither the lock nor Bazel has.
OPTIONAL = {"adb", "mediapipe", "ofa", "onnxruntime", "pillow_heif", "pymoo", "ray", "tf2onnx", "torch"}
RULES = "".join(f"{rule} = native.{rule}\n" for rule in ("py_binary", "py_library", "py_test"))


def test_every_folder_with_python_is_in_a_package():
    """The tests are one package; a folder of code has one of its own, or Bazel would not see its files."""
    folders = {path.parent for path in files() if path.suffix == ".py" and path.parts[0] != "tests"}
    assert [str(folder) for folder in folders if not (ROOT / folder / "BUILD").exists()] == []
    assert [
        str(path) for path in files() if path.name == "BUILD" and len(path.parts) > 2 and path.parts[0] == "tests"
    ] == []


def test_every_binary_is_a_target():
    for folder in ("mobile_bench", "tools"):
        listed = set(re.findall(r'^ {8}"(\w+)",$', (ROOT / folder / "BUILD").read_text(encoding="utf-8"), re.M))
        guarded = {
            path.stem for path in (ROOT / folder).glob("*.py") if "\nif __name__ ==" in path.read_text(encoding="utf-8")
        }
        assert listed == guarded, folder


def test_every_imported_package_is_listed_and_locked():
    listed = set(re.findall(r'^ {12}"(\w+)",$', (ROOT / "BUILD").read_text(encoding="utf-8"), re.M))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert listed <= {normalized(line.partition("==")[0]) for line in lock}
    imported = {name for folder in ("mobile_bench", "ofa_tf", "tools", "tests") for name in distributions(folder)}
    assert imported - OPTIONAL <= listed


def test_bazel_reads_the_lock_file_for_the_python_that_setup_asks_for():
    module = (ROOT / "MODULE.bazel").read_text(encoding="utf-8")
    calls = {ast.unparse(it.func): it for it in ast.walk(ast.parse(module)) if isinstance(it, ast.Call)}
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in calls["pip.parse"].keywords}
    expected = {"hub_name": "pypi", "python_version": "3.11", "requirements_lock": "//:requirements.lock"}
    assert arguments == expected


@pytest.mark.skipif(shutil.which("bazel") is None, reason="Bazel is not installed (Debian: bazel-bootstrap)")
def test_bazel_loads_every_target(tmp_path):
    """`bazel query`: every target, each dependency there, no circle. The two outside repositories are stand-ins."""
    tree = tmp_path / "tree"
    for path in files():
        if (
            path.name == "BUILD"
            or path.suffix in (".bzl", ".py")
            or path.name in ("pyproject.toml", "requirements.lock")
        ):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tree / path)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    for name, contents in {"rules_python/python": {"defs.bzl": RULES, "BUILD": ""}}.items():
        (tmp_path / name).mkdir(parents=True)
        for file, text in contents.items():
            (tmp_path / name / file).write_text(text)
    names = [normalized(line.partition("==")[0]) for line in lock if line and not line.startswith("#")]
    for name in names:
        package = tmp_path / "pypi" / name
        package.mkdir(parents=True)
        package.joinpath("BUILD").write_text(f'py_library(name = "{name}", visibility = ["//visibility:public"])\n')
    for repository in ("rules_python", "pypi"):
        (tmp_path / repository / "WORKSPACE").write_text("")
    (tree / "WORKSPACE").write_text(
        "".join(f'local_repository(name = "{it}", path = "{tmp_path / it}")\n' for it in ("rules_python", "pypi"))
    )
    (tree / "MODULE.bazel").unlink(missing_ok=True)
    command = ["bazel", f"--output_user_root={tmp_path / 'root'}", "--max_idle_secs=5"]
    try:
        done = subprocess.run(
            [*command, "query", "labels(deps, //...) union //..."],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
    finally:
        subprocess.run([*command, "shutdown"], cwd=tree, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    labels = set(done.stdout.split())
    tests = {
        f"//tests:{path.relative_to(ROOT / 'tests').with_suffix('')}" for path in (ROOT / "tests").rglob("test_*.py")
    }
    assert tests <= labels
    assert {"//tools:search", "//ofa_tf/spaces:spaces", "//mobile_bench:benchmark"} <= labels
