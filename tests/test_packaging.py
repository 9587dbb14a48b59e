"""What gets installed: every package and binary, with the packages they import, in versions that fit each other."""

import hashlib
import os
import re
import runpy
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from tests.reference import ROOT
from tests.tree import distributions, files, normalized

INSTALLED = ("mobile_bench", "ofa_tf", "tools")

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")


@pytest.fixture(name="setup")
def _setup(monkeypatch):
    """The arguments of setup.py's call."""
    given = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path("setup.py")
    return given


@pytest.fixture(name="locked")
def _locked():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def binaries():
    """The modules in installed packages that are run by name."""
    return sorted(
        ".".join(path.with_suffix("").parts)
        for path in files()
        if path.suffix == ".py"
        and path.parts[0] in INSTALLED
        and "\nif __name__ ==" in (ROOT / path).read_text(encoding="utf-8")
    )


def test_every_package_is_installed(setup):
    """A folder without __init__.py would be missing from an installation, and nowhere else; all below ofa_tf."""
    folders = {path.parent for path in files() if path.suffix == ".py" and path.parts[0] in INSTALLED}
    names = {".".join(folder.parts) for folder in folders}
    assert set(setup["packages"]) == {name if name.startswith("ofa_tf") else f"ofa_tf.{name}" for name in names}
    assert {name.partition(".")[0] for name in setup["packages"]} == {"ofa_tf"}
    # Their modules have two names, so that they may import each other by no absolute one.
    for folder in ("mobile_bench", "tools"):
        for path in (ROOT / folder).glob("*.py"):
            assert not re.search(rf"^ *(from|import) {folder}\b", path.read_text(encoding="utf-8"), re.M), path


@pytest.mark.slow
def test_a_wheel_beside_a_folder_tools_of_the_users(tmp_path):
    """It adds one top-level package; every command answers --help, and one exports a file."""
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", site, wheel], check=True)
    assert sorted(path.name for path in site.iterdir() if not path.name.endswith(".dist-info")) == ["bin", "ofa_tf"]
    home = tmp_path / "home"
    (home / "tools").mkdir(parents=True)
    (home / "tools" / "__init__.py").write_text("raise RuntimeError('of the user')\n")
    variables = {**os.environ, "PYTHONPATH": str(site)}

    def run(script, *arguments):
        command = [sys.executable, site / "bin" / script, *arguments]
        return subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True, check=False)

    scripts = sorted(path.name for path in (site / "bin").iterdir())
    assert len(scripts) == len(binaries())
    for script in scripts:
        done = run(script, "--help")
        assert (done.returncode, "Usage: " in done.stdout) == (0, True), script + done.stderr
        # They name each other as this user can call them.
        assert not re.search(r"python -m (?!pip)|(?<![\w.])(tools|mobile_bench)\.\w", done.stdout), script
    done = run("ofa-export-tflite", "--supernet=ofa_imagenette_mbv3", "--arch=smallest", "--output=model.tflite")
    assert done.returncode == 0, done.stderr
    assert (home / "model.tflite").exists()
    done = run("ofa-evaluate", "--run_dir=absent", "--arch=smallest")
    assert (done.returncode, "ofa-train" in done.stderr) == (2, True), done.stderr


def test_every_data_file_is_installed(setup):
    patterns = setup["package_data"]["ofa_tf"]
    installed = {path for pattern in patterns for path in (ROOT / "ofa_tf").glob(pattern)}
    data = [it for it in files(ROOT / "ofa_tf") if it.suffix not in (".py", ".md") and it.name != "BUILD"]
    assert {ROOT / "ofa_tf" / path for path in data} == installed


def test_every_binary_is_an_installed_command(setup):
    for name in binaries():
        assert "\ndef run()" in (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"), name
    commands = dict(entry.split(" = ") for entry in setup["entry_points"]["console_scripts"])
    expected = {f"ofa-{name.rpartition('.')[2].replace('_', '-')}": f"ofa_tf.{name}:run" for name in binaries()}
    assert commands == expected


@pytest.mark.parametrize("name", binaries())
def test_every_binary_answers_help_at_once(name):
    """Its manual and flags, without loading TensorFlow."""
    code = (
        f"import sys, runpy; sys.argv = ['{name}', '--help']\n"
        f"try: runpy.run_module('{name}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: code = end.code\n"
        "sys.stdout.flush(); print(code, 'tensorflow' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == "0 False\n"
    assert "Usage: " in done.stdout
    assert not done.stdout.startswith("Usage: "), "the module's docstring is the manual"


def test_the_version_is_the_librarys(setup):
    text = (ROOT / "ofa_tf" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{setup["version"]}"' in text


def test_the_lock_holds_exact_versions_and_no_places(locked):
    for name, version in locked.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert re.fullmatch(r"[0-9][A-Za-z0-9.+]*", version)


def test_the_lock_fits_what_is_asked_for(setup, locked):
    versions = {name.lower().replace("_", "-"): version for name, version in locked.items()}
    for line in setup["install_requires"] + setup["extras_require"]["dev"] + setup["extras_require"]["qat"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(versions[requirement.name.lower().replace("_", "-")]), line


def test_the_library_asks_for_what_it_imports(setup):
    asked = {Requirement(line).name for line in setup["install_requires"]}
    asked |= {
        Requirement(line).name
        for extra in ("heif", "micro", "qat", "ray", "torch")
        for line in setup["extras_require"][extra]
    }
    asked = {normalized(name) for name in asked}
    deps = {name for folder in INSTALLED for name in distributions(folder)}
    assert deps <= asked, f"add to install_requires in setup.py: {sorted(deps - asked)}"


def test_the_licence_is_apache_2_word_for_word():
    expected = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == expected
