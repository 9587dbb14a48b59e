"""The files of the checkout, and what they import."""

import ast
import importlib.metadata
import os
import pathlib
import re
import sys

from tests.reference import ROOT

_NOT_SOURCES = {"build", "dist", "runs", "__pycache__"}
# The project's own.
_PACKAGES = {"benchmarks", "mobile_bench", "ofa_tf", "tests", "tools"}


def files(root: pathlib.Path = ROOT) -> list[pathlib.PurePosixPath]:
    """Every file, relative to `root`; hidden and made ones left out."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_SOURCES and not name.startswith((".", "bazel-")) and not name.endswith(".egg-info")
        )
        relative = pathlib.PurePosixPath(pathlib.Path(folder).relative_to(root).as_posix())
        found += [relative / name for name in sorted(names) if not name.startswith(".")]
    return found


def distributions(folder: str) -> set[str]:
    """The PyPI packages, by their normalized names, that the Python files below a folder import."""
    known = importlib.metadata.packages_distributions()
    imported = set()
    for path in files():
        if path.suffix == ".py" and path.parts[0] == folder:
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    imported.add(node.module.partition(".")[0])
    others = imported - _PACKAGES - set(sys.stdlib_module_names)
    # What only extras bring is not installed everywhere: there the module's own name stands for it.
    return {normalized(name) for module in others for name in known.get(module, [module])}


def normalized(name: str) -> str:
    """The name of a distribution, as all its spellings have it."""
    return re.sub(r"[-_.]+", "_", name).lower()
