"""The page of a specialization: every target, self-contained, safe against what is written in it, and its data."""

import json
import re
import urllib.parse

import pytest

from ofa_tf import spaces
from ofa_tf.common import InputError, OfaError, write_json, write_text
from ofa_tf.report import Baseline, DesignCost, write_specialization
from ofa_tf.report.page import render
from ofa_tf.search import Candidate
from ofa_tf.specialize import TargetResult
from tests.micro import micro_space
from tests.report.examples import (
    BUDGETS,
    COMMAND,
    HOSTILE,
    REASON,
    SPACE,
    Page,
    failed,
    forty,
    metrics,
    points,
    result,
    small,
    timing,
)
from tests.specialize.small import MacsAccuracy, MacsLatency, small_target

MACHINE = {"cpu": "a processor", "cores": "2", "os": "Linux", "python": "3.12"}


@pytest.fixture(scope="module", name="specialization")
def _specialization(tmp_path_factory):
    return forty(tmp_path_factory.mktemp("forty"), random_count=6)


@pytest.fixture(scope="module", name="text")
def _text(specialization):
    return render(specialization)


def no_table(target):
    """So that no front is searched, which takes seconds."""
    raise InputError("no table")


def write(folder, results, *, table_of=no_table, **options):
    """The page of results in the small space, and what `report.json` says of its only device."""
    page = write_specialization(
        folder,
        machine=MACHINE,
        predictor_of=lambda target: MacsAccuracy(micro_space()),
        table_of=table_of,
        results=results,
        **options,
    ).read_text(encoding="utf-8")
    [device] = json.loads((folder / "report.json").read_text())["devices"]
    return page, device


def test_every_target_has_its_row_with_status_and_links(specialization, text):
    page = Page(text)
    assert not page.unclosed
    rows = [attributes["id"] for tag, attributes in page.tags if tag == "tr" and "id" in attributes]
    assert rows == [f"target-{number}" for number in range(1, 5 * BUDGETS + 1)]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes["href"][0] != "#"]
    with_files = [it for it in specialization.results if "model_bytes" in it.measured]
    files = [specialization.file(it, suffix) for it in with_files for suffix in (".tflite", ".md")]
    assert [urllib.parse.unquote(link) for link in links] == files
    assert len(files) > BUDGETS
    for status in ("verified", "exported", "architecture", "failed"):
        count = sum(it.status == status for it in specialization.results)
        assert sum(text == status for text in page.of("span")) == count > 0
        assert re.search(rf"{count}\s+{status}", page.text)
    assert REASON in page.text
    assert page.of("code").count(COMMAND) == BUDGETS
    assert "measured over its budget" in page.text


def test_every_network_of_a_target_is_drawn(specialization, text):
    page = Page(text)
    known = [it.target.name for it in specialization.results if it.arch]
    drawn = [attributes["id"] for tag, attributes in page.tags if tag == "figure" and "id" in attributes]
    assert len(drawn) == len(known)
    assert [point["name"] for point in points(text) if "row" in point] == known
    for heading in ("targets", "Accuracy against", "architectures", "measured latency", "Training", "comes from"):
        assert any(heading in found for found in page.texts), heading


def test_the_page_loads_nothing_and_runs_only_its_own_script(text):
    page = Page(text)
    assert page.count("script") == 2
    assert not {"link", "img", "image", "iframe", "object", "embed", "base", "foreignobject"} & {
        tag for tag, _ in page.tags
    }
    for _, attributes in page.tags:
        assert not {"src", "srcset", "data", "action"} & attributes.keys()
        assert attributes.get("xlink:href", "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    (policy,) = (attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert not re.search(r"https?://(?!www\.w3\.org/)|@import", text)


def test_ids_are_unique_and_references_find_them(text):
    """Plots stand in one document: a clip path of one must not cut another."""
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes.get(name, "") for _, attributes in page.tags for name in ("href", "xlink:href")]
    used = {link[1:] for link in links if link.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(ids)
    assert {point["row"] for point in points(text) if "row" in point} <= set(ids)


def test_what_comes_from_outside_stays_text(tmp_path):
    """Device, reason, command, space, stage, note, baseline: anything may stand there."""
    hostile = small(
        [result(status="architecture", command=HOSTILE), failed(reason=HOSTILE)],
        title=HOSTILE,
        device={
            **dict.fromkeys(("name", "description", "images"), HOSTILE),
            "space": SPACE.replace(name=HOSTILE),
            "baselines": [Baseline(HOSTILE, 0.2, 0.9, HOSTILE, HOSTILE)],
            "latency_pairs": [(0.2, 0.21)],
        },
        metrics=[{**line, "stage": HOSTILE, **({"subnet": HOSTILE} if "subnet" in line else {})} for line in metrics()],
        cost=DesignCost(HOSTILE, {HOSTILE: 1.0}, 0.1, 1.0, 1.0, HOSTILE, 1.0, HOSTILE),
        notes={HOSTILE: HOSTILE},
    )
    text = render(hostile)
    page = Page(text)
    assert not page.unclosed
    assert page.count("script") == text.count("</script>") == 2
    assert not any("other" in attributes.get("id", "") for _, attributes in page.tags)
    assert points(text)[0]["name"] == HOSTILE
    shown = " ".join(HOSTILE.split())
    for tag in ("title", "h1", "h2", "code", "dt", "dd", "summary"):
        assert shown in page.of(tag), tag


def test_a_link_neither_leaves_nor_ends_its_attribute(tmp_path):
    """A folder is named after its target, which may hold what an address may not."""
    name = "a+b, 100"
    (tmp_path / "targets" / "a+b,_100").mkdir(parents=True)
    (tmp_path / "targets" / "a+b,_100" / "model.tflite").touch()
    links = [link for _, link in points(render(small([result(name)], tmp_path)))[0]["links"]]
    assert links == ["targets/a%2Bb%2C_100/model.tflite"]


def test_the_smallest_page_says_nothing_that_is_not_known():
    page = Page(render(small([failed()])))
    assert not page.unclosed
    for absent in ("Training, stage by stage", "design cost", "Where this comes from", "Predicted against", "Spearman"):
        assert absent not in page.text
    assert "no device" in page.text
    # A network without figures has a row, a drawing and no mark.
    none = {"latency_ms": None, "model_bytes": None}
    bare = result(
        target={"limits": {"macs": 1e9}}, predicted=none, measured=none, predicted_top1=None, keras_top1=None,
        tflite_top1=None, images=None,
    )  # fmt: skip
    text = render(small([bare]))
    assert not points(text)
    assert "1,000 M MACs" in Page(text).texts


def test_measured_and_predicted_marks_are_told_apart():
    found = Candidate(SPACE.smallest(), 0.9, {"latency_ms": 0.2})
    text = render(small([result(), result("host, other", "exported", measured={"latency_ms": None})],
                        device={"searched": [found], "random": [found]}))  # fmt: skip
    classes = [attributes["class"] for tag, attributes in Page(text).tags if "data-number" in attributes]
    assert classes == ["mark random predicted", "mark searched predicted", "mark target", "mark target predicted"]
    assert "A hollow mark" in Page(text).text


def test_a_broken_limit_is_told(text):
    broken = result(status="failed", reason="slow", measured={"latency_ms": 0.31})
    page = Page(render(small([broken])))
    assert "0.3100 ms*" in page.texts
    assert "measured over its budget" in page.text
    assert "measured over its budget" not in Page(render(small())).text


def test_a_cost_of_ones_own_factor_is_told():
    cost = DesignCost("a machine", {"joint": 10.0}, 0.1, co2_lb_per_hour=0.02, co2_source="our provider")
    page = Page(render(small(cost=cost)))
    assert "0.02 lb for each device hour (our provider)" in page.text
    assert "Training took 10 hours, once, and a target 6.0 minutes on average" in page.text
    # 10 hours and 40 times 0.1.
    assert "14 h" in page.texts
    assert "0.28 lb" in page.texts
    assert "N searches and trainings" not in page.text


def test_a_baseline_of_other_images_is_listed_but_not_drawn():
    baselines = [
        Baseline("ours", 0.2, 0.9, "this bench"),
        Baseline("theirs", 0.3, 0.75, "a publication", "other images"),
        Baseline("timed", 0.4, source="this bench"),
    ]
    text = render(small(device={"baselines": baselines}))
    assert [point["group"] for point in points(text)][:3] == [
        "for comparison",
        "for comparison, cost only",
        "for comparison, cost only",
    ]
    assert "top-1 75.0 % on other images, and so not in the plot (a publication)" in Page(text).text


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"measured": {"latency_ms": 0.31}}, "measured over its limit of latency_ms"),
        ({"target": {"limits": {"model_bytes": 118_249}}}, "measured over its limit of model_bytes"),
        ({"target": {"limits": {"peak_memory_bytes": 1e6}}}, "not measured in peak_memory_bytes"),
        ({"measured": {"latency_ms": None}}, "not measured in latency_ms"),
        ({"status": "failed"}, "expected a reason"),
        ({"status": "failed", "reason": "two\nlines"}, "expected a reason"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(fields, problem):
    with pytest.raises(InputError, match=re.escape(problem)):
        small([result(**fields)])


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(InputError, match="expects"):
        small(device={"space": SPACE.replace(stages=SPACE.stages[:2])})


def test_the_same_results_give_the_same_bytes(specialization, text):
    assert render(specialization) == text


def test_huge_spaces_are_counted_in_powers_of_ten():
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.0")
    page = Page(render(small([failed()], device={"space": space})))
    assert "about 2 \N{MULTIPLICATION SIGN} 10¹⁹ architectures" in page.text


def test_a_folder_becomes_a_page(tmp_path):
    """What a specialization and a training run have written is all that is needed."""
    space = micro_space()
    arch = space.smallest()
    costs = {"macs": float(space.count_macs(arch)), "latency_ms": 0.5}
    rounds = [{"arch": arch.to_dict(), "predicted": {"latency_ms": 0.5}, "measured": {"latency_ms": 0.55}}]
    target = small_target("mine", limits={"latency_ms": 1.5})
    TargetResult(
        target, "verified", {"data": "photos"}, arch=arch, predicted=costs, measured={**costs, "latency_ms": 0.55},
        predicted_top1=0.6, keras_top1=0.5, tflite_top1=0.5, images=50, rounds=rounds, seconds=1800,
    ).save(tmp_path / "targets" / "mine" / "result.json")  # fmt: skip
    figures = {"name": "known", "latency_ms": 2.0, "published_top1": None}
    sides = (24, "float32, 1"), (24, "int8, 1"), (24, "float32, 2"), (16, "float32, 1")
    known = {f"known, {side} pixels, {end} threads": {**figures, "resolution": side} for side, end in sides}
    learned = {"name": "learned", "resolution": 32, "latency_ms": 3.0, "top1": 0.7, "test_top1": 0.6, "test_images": 90}
    learned["source"] = {"images": "photos"}
    known |= {f"learned, fine-tuned, {end} threads": learned for end in ("float32, 1", "int8, 1")}
    known["earlier, fine-tuned, float32, 1 threads"] = {**learned, "name": "earlier", "source": {"images": "others"}}
    write_json(tmp_path / "baselines.json", known)
    run = tmp_path / "run"
    for name, lines in (("metrics", metrics()), ("timing", timing())):
        write_text(run / f"{name}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    text, device = write(tmp_path, None, table_of=lambda target: MacsLatency(), run_directory=run, notes={"seed": 3})
    page = Page(text)
    assert {"mine", "a processor, 2 cores, Linux", "python 3.12", "seed", "1800 s for 1 targets"} <= set(page.texts)
    assert "Training took 5 hours, once, and a target 30.0 minutes on average" in page.text
    assert device["name"] == "this machine, float32"
    assert device["images"] == "50 validation images"
    assert device["latency_pairs"] == [[0.5, 0.55]]
    assert [(it["name"], it["cost"], it["top1"]) for it in device["baselines"]] == [
        ("known, 24 pixels", 2.0, None), ("learned, 32 pixels", 3.0, 0.7),
    ]  # fmt: skip
    assert "fine-tuned on the same photos; 60.0% of 90 test images" in page.text
    # The front of the search, up to the largest limit, and random sub-networks below it.
    assert max(point["costs"]["latency_ms"] for point in device["searched"] + device["random"]) <= 1.1 * 1.5
    (found,) = json.loads((tmp_path / "report.json").read_text())["targets"]
    assert (found["status"], found["measured"]["latency_ms"], found["on"]) == ("verified", 0.55, device["name"])
    # A damaged log leaves the old page.
    write_text(run / "metrics.jsonl", '{"stage": "full"}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl: entry 1 "):
        write(tmp_path, None, run_directory=run)
    assert (tmp_path / "report.html").read_text() == text


def test_a_device_says_how_many_images_its_targets_are_of(tmp_path):
    """All of them: a range where they differ; and what the caller says of them, where it does."""
    arch = micro_space().smallest()
    for counts, said in (
        ((), "as the accuracy predictor says"),
        ((1000, 1000), "1,000 validation images"),
        ((1000, 50), "50 to 1,000 validation images"),
    ):
        results = [TargetResult(small_target("none"), "failed", reason="no")]
        results += [
            TargetResult(small_target(f"target {number}"), "exported", arch=arch, predicted={"macs": 1e5}, images=count)
            for number, count in enumerate(counts)
        ]
        assert write(tmp_path, results)[1]["images"] == said
    assert write(tmp_path, results, images="test images")[1]["images"] == "test images"


def test_other_networks_stand_in_place_of_random_ones_and_check_the_table(tmp_path):
    arch = micro_space().smallest()
    wanted = small_target("mine", limits={"latency_ms": 1.5})
    others = [
        TargetResult(small_target("drawn"), "architecture", arch=arch, predicted={"latency_ms": 0.4}, keras_top1=0.3),
        TargetResult(
            small_target("check"), "architecture", arch=arch, predicted={"latency_ms": 1}, measured={"latency_ms": 2}
        ),
        TargetResult(small_target("elsewhere", device="phone"), "architecture", arch=arch, keras_top1=0.9),
    ]
    _, device = write(
        tmp_path, [TargetResult(wanted, "failed", reason="no")], others=others, table_of=lambda target: MacsLatency()
    )  # fmt: skip
    assert [point["keras_top1"] for point in device["random"]] == [0.3]
    assert device["latency_pairs"] == [[1, 2]]
    # Beside targets of another kind, networks without that cost would be left out of the plot.
    other = TargetResult(small_target("macs"), "failed", reason="no")
    write_specialization(
        tmp_path,
        machine=MACHINE,
        predictor_of=lambda target: MacsAccuracy(micro_space()),
        table_of=lambda target: MacsLatency(),
        results=[TargetResult(wanted, "failed", reason="no"), other],
        others=others,
    )
    devices = json.loads((tmp_path / "report.json").read_text())["devices"]
    assert [device["latency_pairs"] for device in devices] == [[[1, 2]], []]
    assert [point["keras_top1"] for point in devices[0]["random"]] == [0.3]
    assert len(devices[1]["random"]) > 1
    assert all(point["predicted_top1"] is not None for point in devices[1]["random"])


def test_no_target_is_missing_and_no_network_is_drawn_in_another_space(tmp_path):
    """On one device: limits of two kinds, and two predictors whose files have the same name but other spaces."""
    arch, wide = micro_space().smallest(), micro_space().replace(resolutions=(24,)).smallest()
    results = [
        TargetResult(
            small_target(name, limits={kind: 1e9}, predictor=predictor),
            "architecture",
            arch=found,
            predicted={kind: 10.0, "macs": 10.0},
            predicted_top1=0.5,
        )
        for name, kind, predictor, found in (
            ("fast", "latency_ms", None, arch),
            ("light", "macs", None, arch),
            ("first", "macs", "a/predictor.npz", arch),
            ("second", "macs", "b/predictor.npz", wide),
        )
    ]
    options = {"predictor_of": lambda target: MacsAccuracy(micro_space()), "table_of": lambda target: MacsLatency()}
    page = write_specialization(tmp_path, machine=MACHINE, results=results, **options)
    devices = json.loads((tmp_path / "report.json").read_text())["devices"]
    assert [(device["name"], device["kind"]) for device in devices] == [
        ("this machine, float32, by latency", "latency_ms"),
        ("this machine, float32, by multiply-accumulates", "macs"),
        ("this machine, float32, predictor a/predictor.npz", "macs"),
        ("this machine, float32, predictor b/predictor.npz", "macs"),
    ]
    assert {"fast", "light", "first", "second"} <= set(Page(page.read_text(encoding="utf-8")).texts)


def test_what_cannot_be_drawn_is_told_and_costs_nothing_else(tmp_path):
    """A wrong image side of one target, a limit below everything, a missing table or predictor."""
    results = [
        TargetResult(small_target(f"{side} pixels", resolutions=(side,)), "failed", reason="no") for side in (16, 17)
    ]
    _, device = write(tmp_path, results, table_of=lambda target: None)
    assert {point["arch"]["r"] for point in device["searched"]} == {16}
    told = []
    _, device = write(
        tmp_path, [TargetResult(small_target(limits={"macs": 1}), "failed", reason="no")], say=told.append
    )
    assert not device["searched"]
    assert "no front in the report" in told[0]

    def refuse(target):
        raise InputError("no predictor")

    options = {"machine": MACHINE, "predictor_of": refuse, "table_of": lambda target: None}
    with pytest.raises(OfaError, match="small: no"):
        write_specialization(tmp_path, results=[TargetResult(small_target(), "failed", reason="no")], **options)
    with pytest.raises(InputError, match="has no result"):
        write_specialization(tmp_path / "empty", **options)
