"""What the pages promise is there: links, files, commands with their flags; their Python runs; sources are here."""

import functools
import importlib
import multiprocessing
import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest
from absl import flags

from ofa_tf.common import cli
from tests.reference import ROOT
from tests.tree import files

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^]]*\]\(([^)#\s]+)[^)]*\)")
FILE = re.compile(r"(?<![\w/.-])(?:benchmarks|docs|mobile_bench|ofa_tf|tests|tools)/[\w./*-]*\w")
COMMAND = re.compile(r"(?<![\w./-])((?:benchmarks|mobile_bench|tools)\.[a-z]\w*|ofa-[a-z][a-z-]*)([^`\n]*)")
CODE = re.compile(r"```.*?```|`[^`]+`|^    .*$", re.S | re.M)
FLAG = re.compile(r"(?<![\w-])--([a-z][\w-]*)")
# Every binary's, and those of pip, tensorboard and tfds that the pages give.
OTHER_FLAGS = {"help", "helpfull", "all", "exclude", "exclude-editable", "file_format", "logdir", "no-deps", "pre"}


# A section of a page; a page; and data that only the tests of parity read.
SECTION = re.compile(r'(docs/[\w/]+\.md),\s+"([^"]+)"')
CITED = re.compile(r"(?<![\w/.-])[\w/.-]*\w\.md\b")
SHARED = re.compile(r"\.\./shared\b|\b(?:reference facts|systems notes)\b")
# Pages that commands write.
WRITTEN = {"model.md", "models/host.md"}


def missing_links(page) -> list[str]:
    """Relative links to nothing."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return [it for it in targets if "://" not in it and not (page.parent / it).exists()]


def missing_files(text: str) -> list[str]:
    """Files of this repository that are named and not there; `*` stands for any name."""
    return [path for path in FILE.findall(text) if not any(ROOT.glob(path))]


def foreign_sources(text: str) -> list[str]:
    """What a file cites that a reader of the repository cannot open: other documents, sections that there are not."""
    pages = [it for it in CITED.findall(text) if it not in WRITTEN and not (ROOT / it).exists()]
    sections = [
        f"{page}, {title}"
        for page, title in SECTION.findall(text)
        if (ROOT / page).exists() and not re.search(rf"^#+ {re.escape(title)}$", (ROOT / page).read_text(), re.M)
    ]
    return SHARED.findall(text) + pages + sections


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The modules that are named, or their scripts, each with the flags that stand behind it."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(scripts().get(name, name), FLAG.findall(rest)) for name, rest in COMMAND.findall(joined)]


@functools.cache
def scripts() -> dict[str, str]:
    """The module of every command that an installation has, in the order of setup.py."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("setuptools.setup", given.update)
        runpy.run_path("setup.py")
    entries = [entry.split(" = ") for entry in given["entry_points"]["console_scripts"]]
    return {script: target.partition(":")[0].removeprefix("ofa_tf.") for script, target in entries}


def missing_flags(text: str, known: dict[str, set[str]]) -> list[str]:
    """Flags that the command before them does not define, or, where they stand alone, no command at all."""
    wrong = [(module, it) for module, flags in commands(text) for it in flags if not _defined(it, known[module])]
    alone = dict.fromkeys(flag for code in CODE.findall(text) for flag in FLAG.findall(code))
    anywhere = set().union(*known.values())
    return [f"{module} --{it}" for module, it in wrong] + [f"--{it}" for it in alone if not _defined(it, anywhere)]


def unreadable_commands(text: str) -> list[str]:
    """Commands in a page's code that a shell does not take as they stand: a parenthesis without quotes, for one."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    inline = [code for it in lines for code in re.findall(r"`([^`]+)`", it)]
    codes = inline + [it for it in lines if "`" not in it and not it.startswith("|")]
    # Prose that names a command ends in words, not in flags.
    given = [name + rest for code in codes for name, rest in COMMAND.findall(code) if FLAG.search(rest)]
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
    return [command for command in given if run(["bash", "-n", "-c", command]).returncode != 0]


def _defined(flag: str, names: set[str]) -> bool:
    return bool({flag, flag.removeprefix("no")} & (names | OTHER_FLAGS))


@pytest.fixture(scope="module", name="known")
def _known():
    """The flags of every module that some page names; one that there is not is an error here."""
    named = {module for page in PAGES for module, _ in commands(page.read_text(encoding="utf-8"))}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ml_collections.config_flags", "ofa_tf.common.cli"])
    with context.Pool(2, maxtasksperchild=1) as pool:
        return dict(pool.map(_flags_of, sorted(named), chunksize=1))


def _flags_of(module: str) -> tuple[str, set[str]]:
    """A binary's name and flags; they become those of this process, so there can be one only."""
    sys.argv = [module]
    importlib.import_module(module)
    found = flags.FLAGS.flags_by_module_dict()
    return module, {flag.name for it in cli.flag_modules(module) for flag in found.get(it, [])}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_files_and_flags_are_there(page, known):
    text = page.read_text(encoding="utf-8")
    assert missing_links(page) == []
    assert missing_files(text) == []
    assert missing_flags(text, known) == []
    assert unreadable_commands(text) == []
    assert SHARED.findall(text) == []


@pytest.mark.parametrize("folder", ["benchmarks", "mobile_bench", "ofa_tf", "tests", "tools"])
def test_sources_are_papers_or_pages_of_the_repository(folder):
    """A clone has all that its files cite; `tests/reference.py` alone knows of the data that it lacks."""
    found = {
        str(path): wrong
        for path in files()
        if path.parts[0] == folder
        and path.suffix in (".py", ".html", ".js")
        and str(path) not in ("tests/reference.py", "tests/test_documentation.py")
        and (wrong := foreign_sources((ROOT / path).read_text(encoding="utf-8")))
    }
    assert found == {}


def test_what_is_not_there_is_found(tmp_path):
    """Each of the checks can fail."""
    (tmp_path / "page.md").write_text("[a](absent.md#part) [b](page.md) [c](https://example.org/absent)")
    assert missing_links(tmp_path / "page.md") == ["absent.md"]
    assert missing_files("`docs/spaces.md`, docs/absent.md and `ofa_tf/*/absent.py`, OUT/tools/x") == [
        "docs/absent.md",
        "ofa_tf/*/absent.py",
    ]
    assert foreign_sources(
        'docs/method.md, "Width"; docs/method.md,\n    "Depths"; notes.md; (docs/absent.md) model.md'
    ) == [
        "notes.md",
        "docs/absent.md",
        "docs/method.md, Depths",
    ]
    assert foreign_sources("see the reference facts in ../shared/x") == ["reference facts", "../shared"]
    assert unreadable_commands("`tools.x --config.resolutions=(96,)`, `tools.y '--config.resolutions=(96,)'`") == [
        "tools.x --config.resolutions=(96,)"
    ]
    known = {"tools.x": {"side", "front", "config"}, "tools.y": {"only_y"}}
    text = "    python -m tools.x --side=2 \\\n        --sied=3 --nofront --config.a=1 --help\n"
    text += "`--only_y` `--gone` `tools.x --only_y`"
    assert missing_flags(text, known) == ["tools.x --sied", "tools.x --only_y", "--sied", "--gone"]


def names_after(page: str) -> dict:
    """Runs the Python of a page in the order in which it stands."""
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(block, page, "exec"), names)
    return names


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    """As it stands, in an empty folder; it ends with a file that was checked."""
    monkeypatch.chdir(tmp_path)
    result = names_after("README.md")["result"]
    assert (result.status, result.path) == ("verified", pathlib.Path("OUT/targets/host_int8_macs_2e+07/model.tflite"))
    assert result.path.exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_commands_of_the_readme_run(tmp_path):
    """Those on its first screen, in an empty folder, one after the other; the last leaves a report."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [lines] = [block for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) if "ofa-search" in block]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    for script, *arguments in map(str.split, lines.splitlines()):
        command = [sys.executable, "-m", scripts()[script], *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}: {done.stderr}"
    assert (tmp_path / "OUT" / "report.html").exists()


def test_python_of_the_page_on_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = names_after("docs/python.md")
    assert names["model"].output_shape == (None, 10)
    assert names["report"].agreement > 0.8
    assert (tmp_path / "model.tflite").exists()


def test_python_of_the_page_on_spaces_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = names_after("docs/spaces.md")
    assert names["get_config"]().to_dict()["choices"] == {"ks": (3, 5)}
    assert names["_garden"]().name == "ofa_garden"


@pytest.mark.slow
def test_python_of_the_page_on_backbones_runs(tmp_path, monkeypatch):
    """The head learns: far above the tenth that chance gives."""
    monkeypatch.chdir(tmp_path)
    names = names_after("docs/backbone.md")
    assert list(names["maps"]) == ["P2", "P3", "P4", "P5"]
    assert names["accuracy"] > 0.3
    assert names["report"].output_error < 0.02


def test_every_command_is_on_the_page_of_commands():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for script, module in scripts().items():
        assert f"| `python -m {module}` | `{script}` | " in page


def test_every_page_is_on_the_index():
    folder = ROOT / "docs"
    linked = {(folder / link).resolve() for link in LINK.findall((folder / "index.md").read_text(encoding="utf-8"))}
    pages = {path for path in folder.rglob("*") if path.suffix in (".md", ".ipynb")} - {folder / "index.md"}
    assert pages | {ROOT / "README.md", ROOT / "CONTRIBUTING.md"} == linked


def test_no_line_of_the_readme_is_long():
    """It is read where it is not wrapped, too."""
    assert [it for it in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if len(it) > 110] == []
