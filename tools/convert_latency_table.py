"""Merges latency tables, and converts them between our format and the published one.

    python -m tools.convert_latency_table --tables=night.json,morning.json --output=both.json
    python -m tools.convert_latency_table --tables=note10 --output=note10.json
    python -m tools.convert_latency_table --tables=phone.json --space=ofa_tiny --format=ofa --output=phone

`--tables` takes files of mobile_bench.build_latency_table and published `.yaml`, `.yml` or `.json` files, or folders of
these. Several must
be of one device under equal conditions; where two have a block, the later one counts. `--format=ofa` writes a folder of
`R_lookup_table.yaml`, one for each resolution R that the table covers, as published for the Note10; `ofa_older` writes
the format of the Pixel 1 table. Neither has 95th percentiles, corrections or conditions.
"""

from absl import flags

from ofa_tf.common import InputError, cli

_TABLES = flags.DEFINE_list("tables", None, "the tables", required=True)
_FORMAT = flags.DEFINE_enum("format", "json", ["json", "ofa", "ofa_older"], "of the output")
_SPACE = flags.DEFINE_string("space", None, "of the table, by name or as a .json file, for the published formats")
_NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "outputs of the classifier; the space's own unless given")
_OUTPUT = flags.DEFINE_string("output", None, "the .json file, or the folder, to write", required=True)


def main(argv):
    """Merges and writes."""
    del argv
    import functools

    from ofa_tf import interop, spaces
    from ofa_tf.predictors import LatencyTable
    from ofa_tf.specialize import open_latency_predictor

    if _FORMAT.value != "json" and _SPACE.value is None:
        raise InputError(f"--format={_FORMAT.value}: --space is missing, whose blocks are written; give it")
    if _FORMAT.value == "json" and not _OUTPUT.value.endswith(".json"):
        # What reads it tells it from published tables by that.
        raise InputError(f"--output={_OUTPUT.value}: expected a name that ends with .json, or --format=ofa")
    if not _TABLES.value:
        raise InputError("--tables: names none; give at least one")
    tables = [open_latency_predictor(text) for text in _TABLES.value]
    for text, table in zip(_TABLES.value, tables, strict=True):
        if not isinstance(table, LatencyTable):
            raise InputError(f"{text}: is a regression, which has no blocks; give a latency table")
    merged = functools.reduce(LatencyTable.merge, tables)
    if _FORMAT.value == "json":
        merged.save(_OUTPUT.value)
        count = len(merged.blocks) + sum(map(len, merged.at_resolution.values()))
        print(f"{_OUTPUT.value}: {count} blocks of {merged.device}, {merged.precision}")
        return
    space = spaces.get(_SPACE.value, _NUM_CLASSES.value)
    files = interop.save_ofa_latency_table(merged, space, _OUTPUT.value, older=_FORMAT.value == "ofa_older")
    print(f"{_OUTPUT.value}: {', '.join(path.name for path in files)}")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
