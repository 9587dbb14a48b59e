"""The pages of `docs/commands`, worked out from the docstring and the flags of each binary that setup.py names.

`tests/test_command_pages.py` holds the pages against it; `python -m tests.command_pages` (in `make format`) writes
them.
"""

import pathlib

from tests.build_files import ROOT
from tests.command_flags import Command, Flag, read_all, scripts

FOLDER = pathlib.PurePath("docs/commands")
MADE = "Made by `make format` from the {} of {}; change those.\n"


def pages(root: pathlib.Path) -> dict[pathlib.PurePath, str]:
    """Every page by its path, the list of all of them among these."""
    known = scripts(root)
    commands = read_all(sorted(known))
    parts = ["# Commands\n", MADE.format("docstrings", "the binaries that `setup.py` names"), _index(commands, known)]
    return {FOLDER / "README.md": "\n".join(parts)} | {
        FOLDER / f"{command.name}.md": page(command, known[command.name]) for command in commands
    }


def _index(commands: list[Command], known: dict[str, str]) -> str:
    rows = ["| command | installed as | what it does |\n|---|---|---|\n"]
    for command in commands:
        link = f"[`python -m {command.name}`]({command.name}.md)"
        rows.append(f"| {link} | `{known[command.name]}` | {_cell(command.manual.partition(chr(10) * 2)[0])} |\n")
    return "".join(rows)


def page(command: Command, script: str) -> str:
    """The page of one binary.

    Args:
        command: what it says of itself.
        script: the name it is installed under.
    """
    source = f"`{command.name.replace('.', '/')}.py`"
    paragraphs = command.manual.strip("\n").split("\n\n")
    manual = "\n\n".join(it if it.startswith("    ") else _escaped(it) for it in paragraphs)
    parts = [f"# {command.name}\n", MADE.format("docstring and the flags", source), f"{manual}\n"]
    parts.append(f"Started as `python -m {command.name}`, or, where the package is installed, as `{script}`.\n")
    for module, its in command.flags.items():
        parts.append("## Flags\n" if module == command.name else f"## Flags of `{module}`\n")
        parts.append("| flag | value | default | what |\n|---|---|---|---|\n" + "".join(map(_row, its)))
    return "\n".join(parts)


def _row(flag: Flag) -> str:
    takes = "" if flag.boolean else ", ".join(f"`{value}`" for value in flag.values) or _cell(flag.takes)
    default = "**required**" if flag.required else f"`{flag.default}`" if flag.default else ""
    return f"| `--{'[no]' * flag.boolean}{flag.name}` | {takes} | {default} | {_cell(flag.what)} |\n"


def _cell(text: str) -> str:
    return " ".join(_escaped(text).split()).replace("|", r"\|")


def _escaped(text: str) -> str:
    """Plain text as Markdown; what stands in backticks stays code."""
    pieces = text.split("`")
    pieces[::2] = [piece.replace("<", "&lt;").replace(">", "&gt;").replace("*", r"\*") for piece in pieces[::2]]
    return "`".join(pieces)


def changes(root: pathlib.Path) -> dict[pathlib.PurePath, str | None]:
    """The pages that must be written anew, and None for those that nothing asks for."""
    wanted = pages(root)
    found = {path.relative_to(root): path.read_text(encoding="utf-8") for path in (root / FOLDER).glob("*")}
    return {path: wanted.get(path) for path in sorted(found.keys() | wanted) if found.get(path) != wanted.get(path)}


def write(root: pathlib.Path) -> list[pathlib.PurePath]:
    """Brings the pages in step; returns those that changed."""
    changed = changes(root)
    (root / FOLDER).mkdir(exist_ok=True)
    for path, text in changed.items():
        if text is None:
            (root / path).unlink()
        else:
            (root / path).write_text(text, encoding="utf-8")
    return list(changed)


if __name__ == "__main__":
    for changed_path in write(ROOT):
        print(f"wrote {changed_path}")
