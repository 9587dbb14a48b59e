"""The page: whole, self-contained, safe against what is written in it, and the same in every run."""

import re

import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError
from ofa_tf.report import Report, comparison_table, render_report, write_report
from tests.report.examples import HOSTILE, SPACE, Page, metrics, model, report

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module", name="text")
def _text():
    return render_report(report())


def test_the_page_is_well_formed_and_has_every_section(text):
    page = Page(text)
    assert not page.unclosed
    assert page.count("svg", role="img") == 3 + len(report().models)
    for heading in ("networks", "Accuracy against", "architectures", "measured latency", "Training", "comes from"):
        assert sum(heading in found for found in page.texts) >= 1, heading


def test_the_page_opens_offline(text):
    """Nothing is loaded: no script, no style sheet, font or image from elsewhere, no links out."""
    page = Page(text)
    loading = {"script", "link", "img", "image", "iframe", "object", "embed", "base", "foreignobject"}
    assert not loading & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "srcset", "data", "action"} & attributes.keys()
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?(.)", text))


def test_ids_are_unique_and_references_find_them(text):
    """Plots stand in one document: a clip path of one must not cut another."""
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {
        attributes[name][1:] for _, attributes in page.tags for name in ("href", "xlink:href") if name in attributes
    }
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(ids)


def test_what_comes_from_outside_stays_text():
    hostile = report(
        title=HOSTILE,
        device=HOSTILE,
        split=HOSTILE,
        space=SPACE.replace(name=HOSTILE),
        models=[model(HOSTILE)],
        metrics=[{**line, "stage": HOSTILE, **({"subnet": HOSTILE} if "subnet" in line else {})} for line in metrics()],
        notes={HOSTILE: HOSTILE},
    )
    page = Page(render_report(hostile))
    assert not page.unclosed
    assert not page.count("script")
    assert not any("other" in attributes.get("id", "") for _, attributes in page.tags)
    shown = " ".join(HOSTILE.split())
    for tag in ("title", "h1", "h3", "th", "dt", "dd"):
        assert shown in page.of(tag), tag


def test_the_table_of_the_page_is_the_table_of_the_terminal(text):
    page = Page(text)
    for column in comparison_table(report().models):
        assert column.heading in page.texts
        assert column.explanation in page.text
        for cell in column.cells:
            assert cell in page.texts


def test_every_section_names_device_and_split(text):
    page = Page(text)
    assert page.text.count("a test machine, 1 thread") >= 3
    assert page.text.count("400 held-out images") >= 3
    assert "400 images of the split “holdout”" in page.text


def test_the_same_report_gives_the_same_bytes(text):
    assert render_report(report()) == text


def test_a_report_of_one_unmeasured_model_is_still_a_page():
    """What was not measured is left out, not invented and not an error."""
    bare = Report("T", "D", "S", SPACE, [type(model())("only", SPACE.smallest(), 1)])
    page = Page(render_report(bare))
    assert not page.unclosed
    assert "Training, stage by stage" not in page.text
    assert "Spearman" not in page.text
    assert "Where this comes from" not in page.text


def test_a_broken_budget_is_told(text):
    assert "slower than its budget" not in text
    broken = Page(render_report(report(models=[model(measured_ms=0.31)])))
    assert "0.310*" in broken.texts
    assert "measured slower than its budget" in broken.text


def test_a_failure_leaves_the_old_page(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, report())
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"metrics\.jsonl: entry 1 "):
        write_report(path, report(metrics=[{"stage": "full"}]))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_report_without_models_or_of_another_space_is_refused():
    with pytest.raises(InputError, match="no model"):
        report(models=[])
    with pytest.raises(InputError, match="expects"):
        report(space=SPACE.replace(stages=SPACE.stages[:2]))


def test_huge_spaces_are_counted_in_powers_of_ten():
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
    page = Page(render_report(Report("T", "D", "S", space, [type(model())("largest", space.largest(), 1)])))
    assert f"about 2 {TIMES} 10¹⁹ architectures" in page.text
