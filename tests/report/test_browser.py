"""The page in a real browser: it renders without errors or network, and answers to its user.

A script that acts as the user is written into a copy of the page, which is opened once for each test and then read as
the browser has it. Screenshots are left in the folder that Bazel names, or in build/screenshots.
"""

import base64
import hashlib
import html
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from ofa_tf.report.page import render
from tests.reference import ROOT
from tests.report.examples import forty

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    # What a page says on its console, errors among it, comes out on stderr.
    "--enable-logging=stderr",
    # Time passes at once where a script waits.
    "--virtual-time-budget=5000",
)
WIDTHS = {"desktop": 1280, "phone": 500}
# What the acting scripts have in common.
ACT = """
const found = {};
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
const panel = () => one("#device-1 .panel h4").textContent;
const at = (type, element) => {
  const box = element.getBoundingClientRect();
  const point = { bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  document.elementFromPoint(point.clientX, point.clientY).dispatchEvent(new PointerEvent(type, point));
};
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const soon = () => new Promise((done) => setTimeout(done, 50));
addEventListener("load", async () => {
  one("#device-1 .plot").scrollIntoView();
  %s
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
});
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")


@pytest.fixture(scope="module", name="page")
def _page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(forty(path.parent)), encoding="utf-8")
    return path


def chromium(page, *flags, width=WIDTHS["desktop"], height=900):
    """What the browser prints, and what the page said on its console."""
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={page.parent / 'profile'}",
        f"--window-size={width},{height}",
        *flags,
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def act(page, script, *flags, **options):
    """What the script, with `ACT` before it, finds in the page; and the console."""
    text, script = page.read_text(encoding="utf-8"), ACT % script
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{allowed}' ").replace(
        "</body>", f"<script>{script}</script></body>"
    )
    acting = page.with_name("acting.html")
    acting.write_text(text, encoding="utf-8")
    printed, console = chromium(acting, "--dump-dom", *flags, **options)
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', printed)[1])), console


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_renders_without_errors(page, width, dark):
    """In light and dark, and nothing sticks out to the side."""
    folder = pathlib.Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", ROOT / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"specialization_{width}_{'dark' if dark else 'light'}.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _, console = chromium(page, scheme, f"--screenshot={picture}", width=WIDTHS[width], height=12_000)
    print(f"screenshot: {picture}")
    assert not console
    assert picture.stat().st_size > 50_000
    found, console = act(
        page,
        """
        found.widths = [document.documentElement.scrollWidth, innerWidth];
        // No window is narrower than 500 pixels, a phone is.
        document.body.style.maxWidth = "390px";
        found.narrow = document.body.scrollWidth;
        found.paper = getComputedStyle(document.body).backgroundColor;
        found.panels = all(".panel h4").length;
        """,
        scheme,
        width=WIDTHS[width],
    )
    assert not console
    assert found["widths"][0] <= found["widths"][1] == WIDTHS[width]
    assert found["narrow"] <= 390 or width == "desktop"
    assert (found["paper"] == "rgb(255, 255, 255)") != dark
    assert found["panels"] == 5


def test_an_error_or_a_request_would_be_seen(page):
    """The other tests rest on this; the page's own policy forbids the request before it is sent."""
    _, console = act(
        page,
        """
        setTimeout(() => { throw new Error("on purpose"); });
        fetch("http://localhost:9/").catch(() => 0);
        await soon();
        """,
    )
    assert any("on purpose" in line for line in console)
    assert any("Content Security Policy" in line for line in console)


def test_a_click_selects_a_point(page):
    found, console = act(
        page,
        """
        found.before = panel();
        at("click", all("#device-1 .mark.target path")[4]);
        found.after = panel();
        found.label = all("#device-1 .mark[aria-selected=true]").map((mark) => mark.getAttribute("aria-label"));
        found.figures = one("#device-1 .panel dl").textContent;
        found.link = one("#device-1 .panel a").getAttribute("href");
        found.blocks = all("#device-1 .panel svg g title").length;
        found.rows = all("tr.selected").map((row) => row.textContent);
        const drawing = one(`#${one("tr.selected").id.replace("target", "drawing")} svg`);
        found.same = one("#device-1 .panel svg").innerHTML === drawing.innerHTML;
        """,
    )
    assert not console
    assert found["before"] != found["after"]
    (label,), (row,) = found["label"], found["rows"]
    assert label.startswith(found["after"])
    assert found["after"] in row
    assert "ms" in found["figures"]
    assert found["link"].endswith("model.tflite")
    # The drawing in the panel is put together from pieces.
    assert found["blocks"] == 23
    assert found["same"]


def test_pointing_shows_the_architecture_and_leaving_hides_it(page):
    found, console = act(
        page,
        """
        found.before = [one("#device-1 .tip").hidden, panel()];
        at("pointermove", all("#device-1 .mark.searched path")[3]);
        found.tip = [one("#device-1 .tip").hidden, panel()];
        found.text = one("#device-1 .tip").textContent;
        one("#device-1 .plot svg").dispatchEvent(new PointerEvent("pointerleave"));
        found.left = one("#device-1 .tip").hidden;
        """,
    )
    assert not console
    assert (found["before"][0], found["tip"][0], found["left"]) == (True, False, True)
    assert found["before"][1] == found["tip"][1], "only a click selects"
    assert "kernel sizes: " in found["text"]
    assert "latency, predicted: " in found["text"]


def test_the_keyboard_reaches_and_selects_every_point(page):
    found, console = act(
        page,
        """
        found.marks = all("#device-1 .plot .mark").length;
        const stops = () => all('#device-1 .mark[tabindex="0"]').length;
        found.stops = [stops()];
        one('#device-1 .mark[tabindex="0"]').focus();
        press("Home");
        const seen = new Set();
        for (let count = 0; count < found.marks; count++) {
          seen.add(document.activeElement.dataset.number);
          press("ArrowRight");
        }
        found.seen = seen.size;
        found.tip = one("#device-1 .tip").hidden;
        press("Enter");
        found.selected = document.activeElement.getAttribute("aria-selected");
        found.label = document.activeElement.getAttribute("aria-label");
        found.panel = panel();
        found.stops.push(stops());
        press("Escape");
        found.escaped = one("#device-1 .tip").hidden;
        """,
    )
    assert not console
    assert found["seen"] == found["marks"] > 20
    assert (found["tip"], found["selected"], found["escaped"]) == (False, "true", True)
    assert found["label"].startswith(found["panel"])
    # One stop for the whole plot: Tab leaves it.
    assert found["stops"] == [1, 1]


def test_a_link_to_a_drawing_opens_the_part_that_it_lies_in(page):
    found, console = act(
        page,
        """
        const part = () => document.getElementById("drawing-33").closest("details").open;
        found.before = part();
        one('a[href="#drawing-33"]').click();
        await soon();
        found.after = part();
        """,
    )
    assert not console
    assert (found["before"], found["after"]) == (False, True)
