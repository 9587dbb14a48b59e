"""Latency tables merged and converted from the command line."""

import json

import yaml

from ofa_tf import interop, spaces
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.spaces.population import distinct_blocks
from ofa_tf.specialize import open_latency_predictor
from tests.binaries import run_binary


def run(*arguments):
    return run_binary("tools.convert_latency_table", *arguments)


def test_published_tables_of_any_ending(tmp_path):
    """The same entries as YAML and as JSON, one file or a folder; what is ours in that folder is passed over."""
    space = spaces.get("ofa_tiny")
    blocks = {block.key: BlockLatency(1.0 + place, None, 0.5, 50) for place, block in enumerate(distinct_blocks(space))}
    ours = LatencyTable("phone", "float32", 1, "fused", blocks=blocks)
    files = interop.save_ofa_latency_table(ours, space, tmp_path / "yaml")
    for ending in ("yml", "json"):
        (tmp_path / ending).mkdir()
        for file in files:
            entries = yaml.safe_load(file.read_text())
            text = json.dumps(entries, indent="\t") if ending == "json" else file.read_text()
            (tmp_path / ending / f"{file.stem}.{ending}").write_text(text)
    ours.save(tmp_path / "json" / "ours.json")
    expected = open_latency_predictor(str(tmp_path / "yaml")).at_resolution
    for folder in ("yml", "json"):
        assert open_latency_predictor(str(tmp_path / folder)).at_resolution == expected
    one = open_latency_predictor(str(tmp_path / "json" / f"{files[0].stem}.json"))
    assert one.at_resolution == open_latency_predictor(str(files[0])).at_resolution
    assert open_latency_predictor(str(tmp_path / "json" / "ours.json")).blocks == blocks
    done = run(f"--tables={tmp_path / 'json'}", f"--output={tmp_path / 'out.json'}")
    assert done.returncode == 0, done.stderr


def test_tables_are_merged_and_converted(tmp_path):
    """Two halves, the later one counting, to JSON; that to the published format; that to JSON again."""
    space = spaces.get("ofa_tiny")
    blocks = {block.key: BlockLatency(1.0 + place, None, 0.0, 50) for place, block in enumerate(distinct_blocks(space))}
    half = dict(list(blocks.items())[:90])
    rest = dict(list(blocks.items())[80:])
    LatencyTable("phone", "int8", 1, "fused", blocks={key: BlockLatency(9.0, None, 0.0, 1) for key in half}).save(
        tmp_path / "old.json"
    )
    LatencyTable("phone", "int8", 1, "fused", blocks=half).save(tmp_path / "half.json")
    LatencyTable("phone", "int8", 1, "fused", blocks=rest).save(tmp_path / "rest.json")
    tables = ",".join(str(tmp_path / f"{name}.json") for name in ("old", "half", "rest"))
    whole, folder, back = tmp_path / "whole.json", tmp_path / "phone", tmp_path / "back.json"
    done = run(f"--tables={tables}", f"--output={whole}")
    assert (done.returncode, done.stdout) == (0, f"{whole}: {len(blocks)} blocks of phone, int8\n"), done.stderr
    assert LatencyTable.load(whole).blocks == blocks
    done = run(f"--tables={whole}", "--format=ofa", "--space=ofa_tiny", f"--output={folder}")
    assert done.stdout.endswith(": 24_lookup_table.yaml, 32_lookup_table.yaml, 40_lookup_table.yaml\n"), done.stderr
    assert run(f"--tables={folder}", f"--output={back}").returncode == 0
    assert LatencyTable.load(back) == interop.load_ofa_latency_table(folder)
    archs = [space.smallest(), space.largest()]
    assert (
        LatencyTable.load(back).predict(space, archs).tolist()
        == LatencyTable.load(whole).predict(space, archs).tolist()
    )


def test_what_cannot_be_merged(tmp_path):
    """One line and exit code 2."""
    for precision in ("int8", "float32"):
        LatencyTable("phone", precision, 1, "fused").save(tmp_path / f"{precision}.json")
    both = f"--tables={tmp_path / 'int8.json'},{tmp_path / 'float32.json'}"
    for arguments, said in (
        ((both,), "precision is 'int8' in one and 'float32' in the other"),
        ((f"--tables={tmp_path / 'int8.json'}", "--format=ofa"), "--space is missing"),
        (("--tables=",), "--tables: names none"),
        ((both, f"--output={tmp_path / 'out.yaml'}"), "out.yaml: expected a name that ends with .json"),
    ):
        done = run(f"--output={tmp_path / 'out.json'}", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
