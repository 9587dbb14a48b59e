"""The pages of the commands say what the binaries say: one page for each, every flag on it, none left over."""

import os

import pytest

from tests import command_pages
from tests.build_files import ROOT
from tests.command_flags import Command, Flag, read_all, scripts

pytestmark = pytest.mark.skipif("TEST_SRCDIR" in os.environ, reason="reads the checkout, which Bazel's sandbox lacks")


def test_pages_say_what_the_binaries_say():
    changes = command_pages.changes(ROOT)
    assert not changes, (
        f"run `.venv/bin/python -m tests.command_pages`, or `make format`: {', '.join(map(str, changes))}"
    )


def test_every_binary_has_its_page_and_a_line_in_the_list():
    folder = ROOT / command_pages.FOLDER
    assert {path.name for path in folder.iterdir()} == {"README.md", *(f"{name}.md" for name in scripts(ROOT))}
    index = (folder / "README.md").read_text(encoding="utf-8")
    for name, script in scripts(ROOT).items():
        assert f"| [`python -m {name}`]({name}.md) | `{script}` | " in index


def test_flags_of_helper_modules_are_read_and_no_path_of_this_machine():
    """Also those that a function defines, and ml_collections'."""
    train, verify = read_all(["tools.train", "mobile_bench.verify"])
    own = {flag.name: flag for flag in train.flags["tools.train"]}
    assert own["run_dir"].required
    assert (own["config"].default, own["deterministic"].boolean) == ("ofa_tf/configs/photos.py", True)
    assert own["distribute"].values == ("auto", "one", "mirrored", "workers")
    assert own["distribute"].what.startswith("one device, all of this machine")
    assert "adb" in {flag.name for flag in verify.flags["mobile_bench.adb_flag"]}
    for path in (ROOT / command_pages.FOLDER).iterdir():
        assert str(ROOT) not in path.read_text(encoding="utf-8")


def test_a_page_escapes_what_markdown_would_take_for_its_own():
    flag = Flag("side", False, (), "number >= 1.0", "8", False, "see <a|b> and\n`x<y`")
    text = command_pages.page(
        Command("tools.x", "Takes <N>.\n\n    x <N>\n\n`<N>` * 2.\n", {"tools.x": (flag,)}), "ofa-x"
    )
    assert "Takes &lt;N&gt;.\n\n    x <N>\n\n`<N>` \\* 2.\n" in text
    assert "| `--side` | number &gt;= 1.0 | `8` | see &lt;a\\|b&gt; and `x<y` |\n" in text


def test_a_page_that_is_left_over_or_out_of_step_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(command_pages, "pages", lambda root: {command_pages.FOLDER / "a.md": "new\n"})
    folder = tmp_path / command_pages.FOLDER
    folder.mkdir(parents=True)
    (folder / "a.md").write_text("old\n")
    (folder / "b.md").write_text("of no binary\n")
    assert command_pages.write(tmp_path) == [command_pages.FOLDER / "a.md", command_pages.FOLDER / "b.md"]
    assert [path.read_text() for path in folder.iterdir()] == ["new\n"]
    assert command_pages.changes(tmp_path) == {}
