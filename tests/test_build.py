"""The BUILD files say what the code does: every file in a target, the dependencies those of the imports."""

import ast
import graphlib
import os
import shutil

import pytest

from tests import build_files

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")

REPAIR = "run `make format`, or edit by hand:\n"


@pytest.fixture(scope="module", name="targets")
def _targets():
    """What the BUILD files say, by label."""
    found = {}
    for path in build_files.files(build_files.ROOT):
        if path.name == "BUILD":
            for target in build_files.read(build_files.ROOT / path)[0]:
                name = build_files.label(path.parent, target.name)
                assert name not in found, f"{path}: two targets are called {target.name}"
                found[name] = (path.parent, target)
    return found


def test_build_files_say_what_the_tree_asks_for():
    messages = build_files.differences(build_files.ROOT)
    assert not messages, REPAIR + "\n".join(messages)


def test_every_python_file_is_in_exactly_one_target(targets):
    listed = [str(folder / source) for folder, target in targets.values() for source in target.srcs]
    present = [str(path) for path in build_files.files(build_files.ROOT) if path.suffix == ".py"]
    assert sorted(listed) == sorted(present)


def test_every_test_and_every_binary_is_a_target_of_its_own(targets):
    tests = {str(folder / source) for folder, it in targets.values() for source in it.srcs if it.rule == "py_test"}
    binaries = {str(folder / source) for folder, it in targets.values() for source in it.srcs if it.rule == "py_binary"}
    root = build_files.ROOT
    assert tests == {str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py")}
    for path in build_files.files(root):
        if path.suffix == ".py" and str(path) not in tests:
            guarded = "\nif __name__ ==" in (root / path).read_text(encoding="utf-8")
            assert guarded == (str(path) in binaries), path


def test_every_dependency_exists_and_none_is_circular(targets):
    graph = {name: [dep for dep in target.deps if not dep.startswith("@")] for name, (_, target) in targets.items()}
    for name, deps in graph.items():
        for dep in deps:
            assert dep in graph, f"{name} depends on {dep}, which no BUILD file has"
    graphlib.TopologicalSorter(graph).prepare()


def test_bazel_reads_the_lock_file_for_the_python_that_setup_asks_for():
    module = (build_files.ROOT / "MODULE.bazel").read_text(encoding="utf-8")
    calls = {ast.unparse(it.func): it for it in ast.walk(ast.parse(module)) if isinstance(it, ast.Call)}
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in calls["pip.parse"].keywords}
    expected = {"hub_name": "pypi", "python_version": "3.11", "requirements_lock": "//:requirements.lock"}
    assert arguments == expected


@pytest.fixture(name="tree")
def _tree(tmp_path):
    """A small repository whose BUILD files are in order."""
    shutil.copy(build_files.ROOT / "requirements.lock", tmp_path)
    contents = {
        "pkg/__init__.py": "",
        "pkg/room/__init__.py": "import os\nimport numpy as np\n",
        "pkg/room/page.html": "",
        "pkg/other/__init__.py": "from pkg import room\n",
        "tools/work.py": "from pkg.other import thing\nif __name__ == '__main__':\n    thing()\n",
        "tests/conftest.py": "",
        "tests/room/test_room.py": "import pkg.room\n",
    }
    for name, text in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    build_files.write(tmp_path)
    assert build_files.differences(tmp_path) == []
    return tmp_path


def test_targets_are_worked_out_from_files_and_imports(tree):
    targets = {folder.as_posix(): found for folder, found in build_files.Tree(tree).targets().items()}
    target = build_files.Target
    assert targets == {
        "pkg": [target("py_library", "pkg", ("__init__.py",))],
        "pkg/room": [
            target("py_library", "room", ("__init__.py",), ("page.html",), ("//pkg", "@pypi//numpy")),
        ],
        "pkg/other": [target("py_library", "other", ("__init__.py",), (), ("//pkg", "//pkg/room"))],
        "tools": [target("py_binary", "work", ("work.py",), (), ("//pkg/other",))],
        "tests": [target("py_library", "tests", ("conftest.py",))],
        "tests/room": [target("py_test", "test_room", ("test_room.py",), (), ("//pkg/room", "//tests"))],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pkg/other/new.py", "", 'pkg/other/BUILD: add "new.py", in srcs of py_library "other"'),
        ("pkg/room/logo.svg", "", 'pkg/room/BUILD: add "logo.svg", in data of py_library "room"'),
        ("pkg/other/__init__.py", "", 'pkg/other/BUILD: remove "//pkg/room", in deps of py_library "other"'),
        ("tools/work.py", "import tqdm", 'tools/BUILD: add py_library( name = "tools", srcs = ["work.py"], deps = '),
        ("pkg/other/__init__.py", "import scipy", 'pkg/other/BUILD: add "@pypi//scipy", in deps of py_library "other"'),
        ("tests/test_new.py", "", 'tests/BUILD: add load("//tests:pytest.bzl", "py_test")'),
        ("tests/test_new.py", "", 'tests/BUILD: add py_test( name = "test_new", srcs = ["test_new.py"], deps = ["//te'),
        ("new/__init__.py", "", 'new/BUILD: add py_library( name = "new", srcs = ["__init__.py"], )'),
    ],
)
def test_a_change_of_the_tree_is_answered_by_the_line_to_write(tree, name, text, message):
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text(text)
    assert any(line.startswith(message) for line in build_files.differences(tree)), build_files.differences(tree)
    build_files.write(tree)
    assert build_files.differences(tree) == []


def test_a_target_without_its_file_is_noticed(tree):
    (tree / "tests/room/test_room.py").rename(tree / "tests/room/test_rooms.py")
    assert 'tests/room/BUILD: remove py_test "test_room", nothing asks for it' in build_files.differences(tree)


def test_what_is_written_by_hand_is_kept(tree):
    path = tree / "tests/room/BUILD"
    by_hand = path.read_text().replace("    srcs =", '    size = "large",\n    srcs =') + 'exports_files(["data"])\n'
    path.write_text(by_hand)
    assert build_files.differences(tree) == []
    build_files.write(tree)
    assert 'size = "large"' in path.read_text()
    assert 'exports_files(["data"])' in path.read_text()


def test_a_package_that_is_not_locked_is_named(tree):
    (tree / "pkg/room/__init__.py").write_text("import unheard_of\n")
    with pytest.raises(LookupError, match=r"pkg/room/__init__\.py: imports unheard_of, which requirements\.lock"):
        build_files.differences(tree)
