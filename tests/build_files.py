"""The BUILD files that the tree asks for, worked out from its files and their imports.

`tests/test_build.py` holds the BUILD files against it; `python -m tests.build_files` (in `make format`) writes them.
One target per test and per binary (a file with `if __name__ == "__main__"`), one library per folder for the rest.
Attributes and calls that nothing here works out (`size`, `tags`, `exports_files`) are written by hand and kept.
"""

import ast
import dataclasses
import functools
import importlib.metadata
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RULES = {
    "py_binary": "@rules_python//python:defs.bzl",
    "py_library": "@rules_python//python:defs.bzl",
    "py_test": "//tests:pytest.bzl",
}
LISTS = ("srcs", "data", "deps")
HEADER = "# Kept in step with the tree by `make format`; what is added by hand stays, but for comments.\n"
# Packages of extras, imported only where they are used; the lock, and so Bazel, does not have them.
OPTIONAL = {"ofa", "pymoo", "ray", "torch"}
NOT_SOURCES = {"build", "dist", "runs", "__pycache__"}


@dataclasses.dataclass(frozen=True)
class Target:
    """One call of a rule. `others` are the attributes kept as they are: (name, Starlark source)."""

    rule: str
    name: str
    srcs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    deps: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    def starlark(self) -> str:
        """The call as it stands in a BUILD file, formatted as buildifier does."""
        attributes = {"name": f'"{self.name}"'}
        attributes |= {attribute: _list(getattr(self, attribute)) for attribute in LISTS if getattr(self, attribute)}
        attributes |= dict(self.others)
        order = sorted(attributes, key=lambda name: ({"name": 0, "srcs": 1, "deps": 3}.get(name, 2), name))
        return f"{self.rule}(\n" + "".join(f"    {name} = {attributes[name]},\n" for name in order) + ")\n"


def _list(values: tuple[str, ...]) -> str:
    if len(values) == 1:
        return f'["{values[0]}"]'
    return "[\n" + "".join(f'        "{value}",\n' for value in values) + "    ]"


def files(root: pathlib.Path) -> list[pathlib.PurePosixPath]:
    """Every file of the tree, relative to `root`; hidden and made ones left out."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in NOT_SOURCES and not name.startswith((".", "bazel-")) and not name.endswith(".egg-info")
        )
        relative = pathlib.PurePosixPath(pathlib.Path(folder).relative_to(root).as_posix())
        found += [relative / name for name in sorted(names) if not name.startswith(".")]
    return found


def label(folder: pathlib.PurePosixPath, name: str) -> str:
    """`//a/b:name`, or `//a/b` for the library that is named after its folder."""
    path = "" if folder == pathlib.PurePosixPath(".") else str(folder)
    return f"//{path}" if name == folder.name else f"//{path}:{name}"


class Tree:
    """The targets that a tree asks for.

    Args:
        root: the folder of the repository.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        every = files(root)
        self.sources = [path for path in every if path.suffix == ".py"]
        self.folders = sorted({path.parent for path in self.sources})
        self.syntax = {path: ast.parse((root / path).read_text(encoding="utf-8")) for path in self.sources}
        self.owners = {path: self._owner(path) for path in self.sources}
        self.modules = {_module(path): path for path in self.sources}
        self.data: dict[pathlib.PurePosixPath, list[str]] = {}
        for path in every:
            home = next((folder for folder in path.parents if folder in self.folders), None)
            if path.suffix not in (".py", ".bzl", ".md") and path.name != "BUILD" and home not in (None, _TOP):
                self.data.setdefault(home, []).append(str(path.relative_to(home)))

    def targets(self) -> dict[pathlib.PurePosixPath, list[Target]]:
        """The targets of each folder that holds Python files, libraries first."""
        sources: dict[tuple, list[pathlib.PurePosixPath]] = {}
        for path, (rule, name) in self.owners.items():
            sources.setdefault((path.parent, rule, name), []).append(path)
        result: dict[pathlib.PurePosixPath, list[Target]] = {folder: [] for folder in self.folders}
        for (folder, rule, name), paths in sources.items():
            deps = set().union(*(self._imports(path) for path in paths), self._implied(folder, rule))
            deps.discard(label(folder, name))
            data = self.data.get(folder, []) if rule != "py_binary" else []
            names = tuple(path.name for path in paths)
            result[folder].append(Target(rule, name, names, tuple(data), tuple(sorted(deps, key=_label_order))))
        order = {"py_library": 0, "py_binary": 1, "py_test": 2}
        return {
            folder: sorted(targets, key=lambda target: (order[target.rule], target.name))
            for folder, targets in result.items()
        }

    def _owner(self, path: pathlib.PurePosixPath) -> tuple[str, str]:
        if path.name.startswith("test_") and path.parts[0] == "tests":
            return "py_test", path.stem
        if any(isinstance(node, ast.If) and "'__main__'" in ast.unparse(node.test) for node in self.syntax[path].body):
            return "py_binary", path.stem
        return "py_library", path.parent.name or "setup"

    def _imports(self, path: pathlib.PurePosixPath) -> set[str]:
        return {found for name in _imported_names(self.syntax[path]) if (found := self._label_of(name, path))}

    def _label_of(self, name: str, path: pathlib.PurePosixPath) -> str | None:
        top = name.partition(".")[0]
        if name in self.modules:
            source = self.modules[name]
            return label(source.parent, self.owners[source][1])
        if any(module.partition(".")[0] == top for module in self.modules):
            return self._label_of(name.rpartition(".")[0], path) if "." in name else None
        if top in sys.stdlib_module_names or top in OPTIONAL:
            return None
        found = sorted(set(_distributions().get(top, ())) & _locked(self.root))
        if not found:
            raise LookupError(f"{path}: imports {top}, which requirements.lock does not have; add its package there")
        return f"@pypi//{found[0]}"

    def _implied(self, folder: pathlib.PurePosixPath, rule: str) -> set[str]:
        """What is imported unasked: the `__init__.py` of the packages around a file, and conftest.py by pytest."""
        around = folder.parent if rule == "py_library" else folder
        implied = {label(around, around.name)} if around / "__init__.py" in self.owners else set()
        if rule == "py_test":
            homes = (home for home in (folder, *folder.parents) if home / "conftest.py" in self.owners)
            implied |= {label(home, home.name) for home in homes}
        return implied


_TOP = pathlib.PurePosixPath(".")


def _module(path: pathlib.PurePosixPath) -> str:
    parts = path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts
    return ".".join(parts)


def _label_order(name: str) -> tuple:
    return name.startswith("@"), name.replace(":", "!")


def _imported_names(syntax: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise LookupError(f"relative import in line {node.lineno}; write the whole name of the module")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@functools.cache
def _distributions() -> dict[str, list[str]]:
    found = importlib.metadata.packages_distributions()
    return {module: [_normalized(name) for name in names] for module, names in found.items()}


@functools.cache
def _locked(root: pathlib.Path) -> set[str]:
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return {_normalized(line.partition("==")[0]) for line in lines if "==" in line}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def read(path: pathlib.Path) -> tuple[list[Target], list[str], set[str]]:
    """What a BUILD file (whose calls are Python's syntax too) says.

    Returns:
        Its targets; the source of its other calls but `load` and `package`; the rules it loads.
    """
    targets, others, loaded = [], [], set()
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for node in ast.parse(text).body:
        call = node.value if isinstance(node, ast.Expr) else None
        rule = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
        if rule in RULES:
            values = {keyword.arg: keyword.value for keyword in call.keywords}
            lists = {name: tuple(ast.literal_eval(values.pop(name))) for name in LISTS if name in values}
            name = ast.literal_eval(values.pop("name"))
            kept = tuple((key, ast.get_source_segment(text, value)) for key, value in values.items())
            targets.append(Target(rule, name, **lists, others=kept))
        elif rule == "load":
            loaded |= {ast.literal_eval(argument) for argument in call.args[1:]}
        elif rule != "package":
            others.append(ast.get_source_segment(text, node))
    return targets, others, loaded


def differences(root: pathlib.Path) -> list[str]:
    """What must change in the BUILD files, one line each; empty where they say what the tree asks for."""
    messages = []
    for folder, targets in Tree(root).targets().items():
        path = root / folder / "BUILD"
        found, _, loaded = read(path)
        present = {(target.rule, target.name): target for target in found}
        where = folder / "BUILD"
        for rule in sorted({target.rule for target in targets} - loaded):
            messages.append(f'{where}: add load("{RULES[rule]}", "{rule}")')
        for target in targets:
            actual = present.pop((target.rule, target.name), None)
            if actual is None:
                messages.append(f"{where}: add {' '.join(target.starlark().split())}")
                continue
            for attribute in LISTS:
                wanted, given = getattr(target, attribute), getattr(actual, attribute)
                for verb, values in (("add", set(wanted) - set(given)), ("remove", set(given) - set(wanted))):
                    messages += [
                        f'{where}: {verb} "{value}", in {attribute} of {target.rule} "{target.name}"'
                        for value in sorted(values)
                    ]
        messages += [f'{where}: remove {rule} "{name}", nothing asks for it' for rule, name in present]
    return messages


def write(root: pathlib.Path) -> list[pathlib.Path]:
    """Writes every BUILD file anew; returns those that changed."""
    changed = []
    for folder, targets in Tree(root).targets().items():
        path = root / folder / "BUILD"
        found, others, _ = read(path)
        kept = {(target.rule, target.name): target.others for target in found}
        rules = {target.rule for target in targets}
        loads = []
        for source in sorted({RULES[rule] for rule in rules}, reverse=True):
            names = ", ".join(f'"{rule}"' for rule in sorted(rules) if RULES[rule] == source)
            loads.append(f'load("{source}", {names})\n')
        parts = [
            "".join(loads),
            'package(default_visibility = ["//visibility:public"])\n',
            *(f"{it}\n" for it in others),
        ]
        for target in targets:
            parts.append(dataclasses.replace(target, others=kept.get((target.rule, target.name), ())).starlark())
        text = HEADER + "\n" + "\n".join(parts)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for changed_path in write(ROOT):
        print(f"wrote {changed_path.relative_to(ROOT)}")
