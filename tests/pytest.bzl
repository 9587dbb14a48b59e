"""A py_test that runs its file by pytest; by itself a test file would only define functions, and pass."""

load("@rules_python//python:defs.bzl", _py_test = "py_test")

_RUNNER = ["@pypi//pytest", "@pypi//pytest_timeout"]

def py_test(name, srcs, deps = [], data = [], **kwargs):
    """A test target of one file.

    Args:
        name: the target's name.
        srcs: the test file, as a list.
        deps: what it imports.
        data: what it reads.
        **kwargs: passed on.
    """
    _py_test(
        name = name,
        srcs = srcs + ["//tests:pytest_main.py"],
        args = [native.package_name() + "/" + src for src in srcs],
        data = data + ["//:pyproject.toml"],
        main = "//tests:pytest_main.py",
        deps = deps + [dep for dep in _RUNNER if dep not in deps],
        **kwargs
    )
