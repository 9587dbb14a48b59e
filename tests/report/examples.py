"""A small report, and a reader of HTML and SVG, for the tests of this room."""

import html.parser

import numpy as np

from ofa_tf import spaces
from ofa_tf.report import Report, ReportModel, ReportPoint

SPACE = spaces.get("ofa_tiny")

# What an attack, a formula or a careless name would put into a title.
HOSTILE = """<script>alert("x")</script> & $a_b$ {{ 7*7 }} ' id="other" """


class Page(html.parser.HTMLParser):
    """Collects what a browser would find in a page.

    Attributes:
        tags: (name, attributes) in order.
        texts: the text of every element, style sheets left out.
        unclosed: open elements at the end, and closing tags without one.
    """

    VOID = frozenset(("meta", "link", "br", "img", "input"))

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.unclosed, self._owners = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.unclosed and self.unclosed[-1] == tag:
            self.unclosed.pop()
        else:
            self.unclosed.append(f"/{tag}")

    def handle_data(self, data):
        if self.unclosed and self.unclosed[-1] != "style":
            self.texts.append(" ".join(data.split()))
            self._owners.append(self.unclosed[-1])

    def count(self, tag, **attributes):
        return sum(name == tag and attributes.items() <= found.items() for name, found in self.tags)

    def of(self, tag):
        """The texts directly in elements of one kind."""
        return [text for text, owner in zip(self.texts, self._owners, strict=True) if owner == tag]

    @property
    def text(self):
        return " ".join(text for text in self.texts if text)


def model(name="0.30 ms", arch=None, **fields):
    """A model with every number, of which some can be changed."""
    arch = arch or SPACE.arch(ks=5, e=3, d=2, r=32)
    known = {
        "budget_ms": 0.3,
        "predicted_ms": 0.291,
        "measured_ms": 0.295,
        "predicted_top1": 0.981,
        "keras_top1": 0.9775,
        "tflite_top1": 0.975,
        "model_bytes": 118_250,
    }
    return ReportModel(name, arch, SPACE.count_macs(arch), **{**known, **fields})


def metrics():
    """Two stages as `tools.train` writes them."""
    lines = [
        {"stage": stage, "epoch": epoch, "split": "train", "loss": 2.0 / epoch, "top1": 1 - 0.5 / epoch}
        for stage, epochs in (("full", 3), ("kernel", 2))
        for epoch in range(1, epochs + 1)
    ]
    evaluation = {"top5": 1.0, "images": 400, "split": "holdout", "calibrated": True}
    return [
        *lines,
        {"stage": "full", "epoch": 3, "subnet": "largest", "top1": 0.99, **evaluation},
        {"stage": "kernel", "epoch": 2, "subnet": "largest", "top1": 0.98, **evaluation},
        {"stage": "kernel", "epoch": 2, "subnet": "smallest", "top1": 0.94, **evaluation},
    ]


def report(**fields):
    """A report with every section, of which some fields can be changed."""
    rng = np.random.default_rng(0)
    points = [ReportPoint(SPACE.sample(rng), 0.2 + place / 50, predicted_top1=0.9 + place / 500) for place in range(10)]
    known = {
        "title": "Digits",
        "device": "a test machine, 1 thread",
        "split": "400 held-out images",
        "space": SPACE,
        "models": [
            model(),
            model("largest", SPACE.largest(), budget_ms=None, measured_ms=1.31),
            model("smallest", SPACE.smallest(), budget_ms=None, measured_ms=0.15),
        ],
        "random_points": points,
        "latency_pairs": [(0.2, 0.21), (0.3, 0.29), (0.4, 0.42), (0.5, 0.51)],
        "metrics": metrics(),
        "notes": {"command": "python -m tools.demo", "seed": 0},
    }
    return Report(**{**known, **fields})
