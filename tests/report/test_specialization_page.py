"""The page of a specialization: every target and its outcome, self-contained, safe against what is written in it."""

import dataclasses
import json
import re

import pytest

from ofa_tf.common import InputError
from ofa_tf.report import (
    DesignCost,
    ReportBaseline,
    ReportDevice,
    ReportModel,
    ReportPoint,
    ReportTarget,
    SpecializationReport,
    render_report,
    write_report,
)
from tests.report.examples import HOSTILE, SPACE, Page, model
from tests.report.specialization_example import BUDGETS, COMMAND, REASON, specialization_report


@pytest.fixture(scope="module", name="report")
def _report():
    return specialization_report(random_count=6)


@pytest.fixture(scope="module", name="text")
def _text(report):
    return render_report(report)


def target(**fields):
    known = {
        "name": "host, 0.3 ms",
        "device": "host",
        "precision": "int8",
        "limits": {"latency_ms": 0.3},
        "status": "verified",
        "model": model(),
        "file": "models/host.tflite",
        "model_card": "models/host.md",
    }
    return ReportTarget(**{**known, **fields})


def small(targets=None, **fields):
    known = {
        "title": "T",
        "targets": [target()] if targets is None else targets,
        "devices": [ReportDevice("host", "a machine", "400 images", SPACE)],
    }
    return SpecializationReport(**{**known, **fields})


def points(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])[
        "points"
    ]


def test_every_target_has_its_row_with_status_and_links(report, text):
    page = Page(text)
    assert not page.unclosed
    rows = [attributes["id"] for tag, attributes in page.tags if tag == "tr" and "id" in attributes]
    assert rows == [f"target-{number}" for number in range(1, 5 * BUDGETS + 1)]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes["href"][0] != "#"]
    files = [path for it in report.targets for path in (it.file, it.model_card) if path]
    assert len(links) == len(files) > BUDGETS
    assert all(link.startswith("models/") for link in links)
    assert [link.replace("%28", "(").replace("%29", ")") for link in links] == files
    counts = {status: sum(it.status == status for it in report.targets) for status in ("verified", "failed")}
    for status, count in counts.items():
        assert sum(text == status for text in page.of("span")) == count
        assert re.search(rf"{count}\s+{status}", page.text)


def test_failures_say_why_and_architectures_what_to_do_next(text):
    page = Page(text)
    assert REASON in page.text
    assert page.of("code").count(COMMAND) == BUDGETS
    assert "over the limit of" in page.text
    assert "measured over its budget" in page.text


def test_every_network_of_a_target_is_drawn(report, text):
    page = Page(text)
    known = [it for it in report.targets if it.model]
    assert page.count("figure") >= len(known)
    drawn = [attributes["id"] for tag, attributes in page.tags if tag == "figure" and "id" in attributes]
    assert len(drawn) == len(known)
    shown = [point for point in points(text) if "row" in point]
    assert [point["name"] for point in shown] == [it.name for it in known]


def test_the_page_loads_nothing_and_runs_only_its_own_script(text):
    page = Page(text)
    assert page.count("script") == 2
    loading = {"link", "img", "image", "iframe", "object", "embed", "base", "foreignobject"}
    assert not loading & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "srcset", "data", "action", "xlink:href"} & attributes.keys() or attributes[
            "xlink:href"
        ].startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    (policy,) = (attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_ids_are_unique_and_references_find_them(text):
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {
        attributes[name][1:]
        for _, attributes in page.tags
        for name in ("href", "xlink:href")
        if attributes.get(name, "").startswith("#")
    }
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert used <= set(ids)
    assert {point["row"] for point in points(text) if "row" in point} <= set(ids)


def test_what_comes_from_outside_stays_text():
    # Anything may be in a name; a link may neither leave for another scheme nor end its attribute.
    hostile = small(
        [
            target(
                name=HOSTILE,
                device=HOSTILE,
                model=model(HOSTILE),
                file="javascript:alert(1)",
                model_card=f"models/{HOSTILE}.md",
                command=HOSTILE,
            ),
            target(name=f"{HOSTILE}2", device=HOSTILE, status="failed", model=None, reason=HOSTILE),
        ],
        title=HOSTILE,
        devices=[
            ReportDevice(
                HOSTILE,
                HOSTILE,
                HOSTILE,
                SPACE.replace(name=HOSTILE),
                baselines=[ReportBaseline(HOSTILE, 0.2, 0.9, HOSTILE, HOSTILE)],
                latency_pairs=[(0.2, 0.21)],
            )
        ],
        cost=DesignCost(HOSTILE, {HOSTILE: 1.0}, 0.1, 1.0, 1.0, HOSTILE, 1.0, HOSTILE),
        notes={HOSTILE: HOSTILE},
    )
    text = render_report(hostile)
    page = Page(text)
    assert not page.unclosed
    assert page.count("script") == 2
    assert text.count("</script>") == 2
    assert not any("other" in attributes.get("id", "") for _, attributes in page.tags)
    assert {point["name"] for point in points(text)} == {HOSTILE}
    for _, attributes in page.tags:
        assert not attributes.get("href", "").startswith("javascript:")
    shown = " ".join(HOSTILE.split())
    for tag in ("title", "h1", "h2", "code", "dt", "dd", "summary"):
        assert shown in page.of(tag), tag


def test_a_report_survives_json(report):
    again = SpecializationReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert render_report(again) == render_report(report)
    assert again.to_dict() == report.to_dict()


@pytest.mark.parametrize("part", ["targets", "devices"])
def test_an_unknown_or_missing_field_is_named(report, part):
    fields = report.to_dict()
    fields[part][0]["colour"] = "red"
    with pytest.raises(InputError, match="field colour is unknown"):
        SpecializationReport.from_dict(fields)
    del fields[part][0]["colour"], fields[part][0]["name"]
    with pytest.raises(InputError, match="field name is missing"):
        SpecializationReport.from_dict(fields)


def test_the_smallest_report_is_still_a_page():
    bare = small([target(status="failed", model=None, file="", model_card="", reason="no device", limits={})])
    page = Page(render_report(bare))
    assert not page.unclosed
    for absent in ("Training, stage by stage", "design cost", "Where this comes from", "Predicted against"):
        assert absent not in page.text
    assert "no device" in page.text


def test_a_cost_of_ones_own_factor_is_told():
    cost = DesignCost("a machine", {"joint": 10.0}, 0.1, co2_lb_per_hour=0.02, co2_source="our provider")
    page = Page(render_report(small(cost=cost)))
    assert "0.02 lb for each device hour (our provider)" in page.text
    assert "Training took 10 hours, once, and a target 6.0 minutes on average" in page.text
    # 10 hours and 40 times 0.1.
    assert "14 h" in page.texts
    assert "0.28 lb" in page.texts
    assert "N searches and trainings" not in page.text


def test_a_baseline_of_other_images_is_listed_but_not_drawn():
    baselines = [
        ReportBaseline("ours", 0.2, 0.9, "this bench"),
        ReportBaseline("theirs", 0.3, 0.75, "a publication", "other images"),
        ReportBaseline("timed", 0.4, source="this bench"),
    ]
    device = ReportDevice("host", "a machine", "400 images", SPACE, baselines=baselines)
    text = render_report(small(devices=[device]))
    assert [point["group"] for point in points(text)][:3] == [
        "for comparison",
        "for comparison, cost only",
        "for comparison, cost only",
    ]
    assert "top-1 75.0 % on other images, and so not in the plot (a publication)" in Page(text).text


def test_a_target_that_contradicts_itself_is_refused():
    for fields, problem in (
        ({"status": "fine"}, "the status is 'fine'"),
        ({"limits": {"seconds": 1}}, "limit of 'seconds'"),
        ({"limits": {"latency_ms": 0}}, "limit of latency_ms is 0"),
        ({"status": "failed"}, "expected a reason"),
        ({"status": "failed", "reason": "two\nlines"}, "expected a reason"),
        ({"model": None}, "expected a model"),
        ({"model": model(measured_ms=0.31)}, "measured over its limit of latency_ms"),
        ({"limits": {"model_bytes": 118_249}}, "measured over its limit of model_bytes"),
        ({"limits": {"peak_memory_bytes": 1e6}}, "verified, but not measured in peak_memory_bytes"),
        ({"limits": {"params": 1e6}}, "verified, but not measured in params"),
        ({"model": model(measured_ms=None)}, "verified, but not measured in latency_ms"),
    ):
        with pytest.raises(InputError, match=re.escape(problem)):
            target(**fields)


def test_a_report_that_contradicts_itself_is_refused():
    for fields, problem in (
        ({"targets": []}, "no target"),
        ({"targets": [target(), target()]}, "two targets are called"),
        ({"devices": []}, "expected one of none"),
        ({"targets": [target(device="phone")]}, "which the report lacks"),
    ):
        with pytest.raises(InputError, match=re.escape(problem)):
            small(**fields)
    with pytest.raises(InputError, match="expects"):
        ReportDevice("host", "", "", SPACE, searched=[ReportPoint(dataclasses.replace(SPACE.largest(), d=(1,)))])


def test_writing_takes_both_kinds_of_report(tmp_path):
    path = tmp_path / "folder" / "report.html"
    write_report(path, small())
    assert "host, 0.3 ms" in path.read_text(encoding="utf-8")


def test_a_model_without_figures_has_a_row_and_no_mark():
    bare = ReportModel("bare", SPACE.smallest(), SPACE.count_macs(SPACE.smallest()))
    text = render_report(small([target(model=bare, limits={"macs": 1e9})]))
    assert not points(text)
    assert "1,000 M MACs" in Page(text).texts
