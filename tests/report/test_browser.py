"""The page of a specialization in a real browser: it renders without errors or network, and answers to its user.

Screenshots are left in the folder that Bazel names, or in build/screenshots.
"""

import os
import pathlib

import pytest

from ofa_tf.report import write_report
from tests.reference import ROOT
from tests.report.chromium import find_chromium, open_tab
from tests.report.examples import report
from tests.report.specialization_example import specialization_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here (Debian: apt-get install chromium)")

PANEL = "document.querySelector('#device-1 .panel h4').textContent"
WIDTHS = {"desktop": 1280, "phone": 390}


@pytest.fixture(scope="module", name="tab")
def _tab():
    with open_tab(find_chromium()) as tab:
        yield tab


@pytest.fixture(scope="module", name="address")
def _address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, specialization_report())
    return path.as_uri()


@pytest.fixture(name="fresh")
def _fresh(tab, address):
    """The tab with the page just loaded, at the section of the second device."""
    tab.problems.clear()
    tab.requests.clear()
    tab.open(address)
    tab.run("document.getElementById('device-1').scrollIntoView()")
    yield tab
    assert not tab.problems
    assert tab.requests == [address]


def place(tab, selector, number=0):
    """The middle of an element in the window."""
    return tab.run(
        f"(() => {{ const box = document.querySelectorAll('{selector}')[{number}].getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )


def screenshots():
    folder = pathlib.Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", ROOT / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_renders_without_errors_and_without_network(tab, address, width, dark):
    tab.problems.clear()
    tab.requests.clear()
    tab.open(address, width=WIDTHS[width], dark=dark, phone=width == "phone")
    path = screenshots() / f"specialization_{width}_{'dark' if dark else 'light'}.png"
    tab.screenshot(path)
    print(f"screenshot: {path}")
    assert not tab.problems
    assert tab.requests == [address]
    # Nothing sticks out to the side.
    assert tab.run("document.documentElement.scrollWidth") <= WIDTHS[width]
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") != dark
    assert tab.run("document.querySelectorAll('.panel h4').length") == 5
    assert path.stat().st_size > 50_000


def test_an_error_would_be_seen(tab, address):
    """The other tests rest on this: what goes wrong in a page is noted."""
    tab.open(address)
    tab.problems.clear()
    tab.requests.clear()
    tab.run("void setTimeout(() => { throw new Error('on purpose'); })")
    tab.run("void fetch('http://localhost:9/').catch(() => 0)")
    tab.wait(lambda: any("on purpose" in problem for problem in tab.problems))
    # The page's own policy forbids it before anything is sent.
    tab.wait(lambda: any("Content Security Policy" in problem for problem in tab.problems))
    assert not any(request.startswith("http") for request in tab.requests)
    tab.problems.clear()


def test_a_click_selects_a_point(fresh):
    name = fresh.run(PANEL)
    x, y = place(fresh, "#device-1 .mark.target path", 4)
    fresh.click(x, y)
    selected = "document.querySelectorAll('#device-1 .mark[aria-selected=true]')"
    label = fresh.run(f"{selected}[0].getAttribute('aria-label')")
    assert fresh.run(f"{selected}.length") == 1
    assert fresh.run(PANEL) != name
    assert label.startswith(fresh.run(PANEL))
    # Its figures, the way to its file, its drawing and its row in the table.
    assert "ms" in fresh.run("document.querySelector('#device-1 .panel dl').textContent")
    assert fresh.run("document.querySelector('#device-1 .panel a').getAttribute('href')").endswith(".tflite")
    blocks = "document.querySelectorAll('#device-1 .panel svg g title').length"
    assert fresh.run(blocks) == 23
    assert fresh.run("document.querySelectorAll('tr.selected').length") == 1
    assert fresh.run(PANEL) in fresh.run("document.querySelector('tr.selected').textContent")
    fresh.screenshot(screenshots() / "specialization_selected.png", whole=False)


def test_the_drawing_of_a_selected_point_is_that_of_the_gallery(fresh):
    fresh.click(*place(fresh, "#device-1 .mark.target path", 2))
    row = fresh.run("document.querySelector('tr.selected').id")
    gallery = f"document.querySelector('#{row.replace('target', 'drawing')} svg').innerHTML"
    assert fresh.run(f"document.querySelector('#device-1 .panel svg').innerHTML === {gallery}")


def test_pointing_shows_the_architecture_and_leaving_hides_it(fresh):
    name = fresh.run(PANEL)
    tip = "document.querySelector('#device-1 .tip')"
    assert fresh.run(f"{tip}.hidden")
    fresh.move(*place(fresh, "#device-1 .mark.searched path", 3))
    assert not fresh.run(f"{tip}.hidden")
    text = fresh.run(f"{tip}.textContent")
    assert "kernel sizes: " in text
    assert "latency, predicted: " in text
    assert fresh.run(PANEL) == name
    fresh.move(2, 2)
    assert fresh.run(f"{tip}.hidden")


def test_the_keyboard_reaches_and_selects_every_point(fresh):
    marks = fresh.run("document.querySelectorAll('#device-1 .plot .mark').length")
    assert fresh.run("document.querySelectorAll('#device-1 .mark[tabindex=\"0\"]').length") == 1
    fresh.run("document.querySelector('#device-1 .mark[tabindex=\"0\"]').focus()")
    fresh.press("Home")
    seen = set()
    for _ in range(marks):
        seen.add(fresh.run("document.activeElement.dataset.number"))
        fresh.press("ArrowRight")
    assert len(seen) == marks
    assert not fresh.run("document.querySelector('#device-1 .tip').hidden")
    fresh.press("Enter")
    assert fresh.run("document.activeElement.getAttribute('aria-selected')") == "true"
    label = fresh.run("document.activeElement.getAttribute('aria-label')")
    assert label.startswith(fresh.run(PANEL))
    # One stop for the whole plot: Tab leaves it.
    fresh.press("Tab")
    assert not fresh.run("document.activeElement.closest('svg')")


def test_a_link_to_a_drawing_opens_the_part_that_it_lies_in(fresh):
    assert not fresh.run("document.getElementById('drawing-33').closest('details').open")
    fresh.run("document.querySelector('a[href=\"#drawing-33\"]').click()")
    fresh.wait(lambda: fresh.run("document.getElementById('drawing-33').closest('details').open"))


def test_the_page_of_the_demo_renders_too(tab, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, report())
    tab.problems.clear()
    for name, width in WIDTHS.items():
        tab.open(path.as_uri(), width=width, dark=name == "phone", phone=name == "phone")
        tab.screenshot(screenshots() / f"demo_{name}.png")
        assert tab.run("document.documentElement.scrollWidth") <= width
    assert not tab.problems
