"""Macros of the BUILD files: a folder is a library, its binaries and its tests are targets of their own.

What a target may import from PyPI is not said folder by folder: `//:packages` is all that requirements.lock has. Who may
import whom within the project is: by `deps`, and more strictly by the import contracts in pyproject.toml.
"""

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

def python_package(deps = [], data = [], binaries = []):
    """The library of a folder, which has the folder's name, and its binaries.

    Args:
        deps: the project's libraries that it imports.
        data: files that it reads.
        binaries: names of its files that are run, without their ending.
    """
    library = native.package_name().split("/")[-1]
    py_library(
        name = library,
        srcs = native.glob(["*.py"]),
        data = data,
        visibility = ["//visibility:public"],
        deps = deps + ["//:packages"],
    )
    for binary in binaries:
        py_binary(
            name = binary,
            srcs = [binary + ".py"],
            visibility = ["//visibility:public"],
            deps = [":" + library],
        )

def python_tests(deps, data = []):
    """A test for every test_*.py in a folder and those below it; pytest runs each.

    Args:
        deps: what they import.
        data: files that they read.
    """
    tests = native.glob(["**/test_*.py"])
    py_library(
        name = "support",
        srcs = native.glob(["**/*.py"], exclude = tests),
        data = data,
        deps = deps + ["//:packages"],
    )
    for test in tests:
        py_test(
            name = test[:-len(".py")],
            size = "large",
            srcs = [test, "pytest_main.py"],
            args = ["$(location " + test + ")"],
            data = ["//:pyproject.toml"],
            main = "pytest_main.py",
            deps = [":support"],
        )
