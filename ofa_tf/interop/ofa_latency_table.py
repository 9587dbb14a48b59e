"""The published phone latency tables, read into ours, and ours written as those."""

import json
import math
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ofa_tf.common import InputError, brief, write_text
from ofa_tf.common.config import is_number, is_whole
from ofa_tf.common.files import parse_json, parse_yaml
from ofa_tf.predictors import BlockLatency, LatencyTable
from ofa_tf.predictors.latency_table import MAX_MS, PUBLISHED_METHOD
from ofa_tf.spaces import Block, Space, make_divisible
from ofa_tf.spaces.population import distinct_blocks

_CONV = re.compile(r"(Conv|Conv_1|Conv_2|AvgPool2D)-input:(\d+)x\2x(\d+)-output:(\d+)x\4x(\d+)")
_LOGITS = re.compile(r"Logits-input:(\d+)x\1x(\d+)-output:(\d+)")
_BLOCK = re.compile(
    r"expanded_conv-input:(?P<size>\d+)x(?P=size)x(?P<before>\d+)-output:(?P<after>\d+)x(?P=after)x(?P<out>\d+)"
    r"-expand:(?P<expand>\d+)-kernel:(?P<kernel>\d+)-stride:(?P<stride>\d+)-idskip:(?P<skip>[01])"
    r"(?:-se:(?P<se>[01])-hs:(?P<hs>[01]))?"
)


_ENDINGS = (".yaml", ".yml", ".json")


class _Entry(NamedTuple):
    mean_ms: float
    variance: float
    count: int


def load_ofa_latency_table(path: str | os.PathLike) -> LatencyTable:
    """Reads a published latency table, or a folder of them (one for each resolution).

    Args:
        path: a `.yaml`, `.yml` or `.json` file, or a folder with such files: the Note10 table of MobileNetV3 w1.2 at
            160 to 224 pixels, or the older Pixel 1 table of ProxylessNAS w1.0 at 224.

    Returns:
        A `LatencyTable` whose figures are the published means. Equal blocks have different figures in different files,
        so each resolution has its own (`at_resolution`).

    Raises:
        InputError: there is no such file, or something in it is not an entry of such a table; the entry is named.

    Source: docs/method.md, "Latency tables".

    Example:
        table = load_ofa_latency_table("ofa/note10")
        table.save("note10.json")
    """
    path = pathlib.Path(path)
    files = [path]
    if path.is_dir():
        # macOS leaves files of its own, whose names begin with a dot.
        named = [it for it in sorted(path.iterdir()) if it.suffix.lower() in _ENDINGS and it.name[0] != "."]
        files = [file for file in named if _may_be_one(file, damaged=True)]
    if not files:
        raise InputError(
            f"{path}: holds no published latency table, expected files that end in {', '.join(_ENDINGS)}; give another "
            f"folder"
        )
    at_resolution: dict[int, dict[str, BlockLatency]] = {}
    for file in files:
        read: dict[int, dict[str, BlockLatency]] = {}
        for resolution, key, latency in _read(file):
            read.setdefault(resolution, {})[key] = latency
        for resolution, latencies in read.items():
            if resolution in at_resolution:
                raise InputError(
                    f"{file}: is of images of {resolution} pixels, as another file of the folder is; leave one of them"
                )
            at_resolution[resolution] = latencies
    return LatencyTable(
        device=path.stem if path.is_file() else path.name,
        precision="float32",
        threads=1,
        form="fused",
        versions={"method": f"{PUBLISHED_METHOD}, means; precision and threads are not stated there"},
        at_resolution=at_resolution,
        resolutions=tuple(sorted(at_resolution)),
    )


def is_ofa_latency_table(path: str | os.PathLike) -> bool:
    """Whether a path is, by its name and for JSON by what is in it, that of a published table or a folder of such.

    Args:
        path: a file or a folder.
    """
    path = pathlib.Path(path)
    return path.is_dir() or (path.suffix.lower() in _ENDINGS and _may_be_one(path, damaged=False))


def _may_be_one(path: pathlib.Path, *, damaged: bool) -> bool:
    """Tables of ours are JSON with a header, and a folder may hold other JSON; what a damaged file was is not known."""
    if path.suffix.lower() != ".json":
        return True
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return damaged
    return isinstance(content, dict) and "format" not in content and any("-input:" in key for key in content)


def save_ofa_latency_table(
    table: LatencyTable, space: Space, folder: str | os.PathLike, *, older: bool = False
) -> list[pathlib.Path]:
    """Writes a table in the published format, for programs that read that; a file for each resolution.

    Medians stand as means; a head's entries are its whole time and zeros, as their sum is all that is known. The 95th
    percentiles, the correction and what the table says of its measurement have no place there.

    Args:
        table: ours.
        space: whose blocks are written, as far as the table has them; a resolution without stem or head is left out.
        folder: for `R_lookup_table.yaml`, R the side of the images in pixels.
        older: the format of the Pixel 1 table (ReLU6, no squeeze-and-excite, `expand` a ratio, `var` for `std`).

    Returns:
        The files.

    Raises:
        InputError: the table covers no resolution of the space, or the format has no word for one of its blocks.

    Source: docs/method.md, "Latency tables".

    Example:
        save_ofa_latency_table(LatencyTable.load("phone.json"), space, "phone")
    """
    import yaml

    files = []
    for resolution in space.resolutions:
        measured = {**table.blocks, **table.at_resolution.get(resolution, {})}
        blocks = [block for block in distinct_blocks(space, (resolution,)) if block.key in measured]
        if {"stem", "head"} <= {block.kind for block in blocks}:
            entries: dict[str, dict[str, float]] = {}
            for block in blocks:
                entries |= _written(block, measured[block.key], older)
            files.append(pathlib.Path(folder) / f"{resolution}_lookup_table.yaml")
            write_text(files[-1], yaml.safe_dump(entries))
    if not files:
        raise InputError(f"latency table of {table.device}: has no stem and head of {space.name}; give its own space")
    return files


def _written(block: Block, latency: BlockLatency, older: bool) -> dict[str, dict[str, float]]:
    """The entries of a block, in their own words."""
    size, out = block.input_size, block.output_size
    if block.kind == "stem":
        names = [f"Conv-input:{size}x{size}x{block.in_channels}-output:{out}x{out}x{block.out_channels}"]
    elif block.kind == "head":
        names = _head_names(block, older)
    else:
        names = [_inverted_residual_name(block, older)]
        match = _BLOCK.fullmatch(names[0])
        if match is None or _inverted_residual(match).key != block.key:
            raise InputError(
                f"block {block.key}: the published format{', the older one,' if older else ''} has no word for it; "
                f"keep the table as JSON"
            )
    spread = {"var": latency.std_ms**2} if older else {"std": latency.std_ms}
    nothing = dict.fromkeys(spread, 0.0)
    first, *others = names
    return {
        first: {"count": latency.count, "mean": latency.median_ms, **spread},
        **{name: {"count": latency.count, "mean": 0.0, **nothing} for name in others},
    }


def _head_names(block: Block, older: bool) -> list[str]:
    size, mid, last = block.input_size, block.mid_channels, block.feature_channels or block.mid_channels
    names = [f"Conv_1-input:{size}x{size}x{block.in_channels}-output:{size}x{size}x{mid}"]
    if block.feature_channels:
        names.append(f"AvgPool2D-input:{size}x{size}x{mid}-output:1x1x{mid}")
        names.append(f"Conv_2-input:1x1x{mid}-output:1x1x{last}")
    side = size if older else 1
    return [*names, f"Logits-input:{side}x{side}x{last}-output:{block.out_channels}"]


def _inverted_residual_name(block: Block, older: bool) -> str:
    size, out, before, mid = block.input_size, block.output_size, block.in_channels, block.mid_channels
    # The older format gives the ratio, the newer one the channels.
    expand = round(mid / before) if older else mid
    name = (
        f"expanded_conv-input:{size}x{size}x{before}-output:{out}x{out}x{block.out_channels}-expand:{expand}"
        f"-kernel:{block.kernel_size}-stride:{block.stride}-idskip:{int(block.residual)}"
    )
    return name if older else f"{name}-se:{int(block.se_channels > 0)}-hs:{int(block.activation == 'h_swish')}"


def _read(path: pathlib.Path) -> Iterator[tuple[int, str, BlockLatency]]:
    entries = {key: _entry(path, key, fields) for key, fields in _read_yaml(path).items()}
    joined: dict[str, dict[tuple, _Entry]] = {}
    blocks: list[tuple[Block, _Entry]] = []
    older = all(_BLOCK.fullmatch(key)["se"] is None for key in entries if _BLOCK.fullmatch(key))
    for key, entry in entries.items():
        if match := _BLOCK.fullmatch(key):
            blocks.append((_inverted_residual(match), entry))
        elif match := _CONV.fullmatch(key):
            joined.setdefault(match[1], {})[tuple(map(int, match.groups()[1:]))] = entry
        elif match := _LOGITS.fullmatch(key):
            joined.setdefault("Logits", {})[tuple(map(int, match.groups()))] = entry
        else:
            raise InputError(f"{path}: entry {key!r} is not one of a published latency table; give the published file")
    stems = joined.get("Conv", {})
    if len(stems) != 1:
        raise InputError(f"{path}: {len(stems)} entries for the first convolution (Conv-input), expected one")
    ((resolution, _, _, stem_width),) = stems
    activation = "relu6" if older else "h_swish"
    stem = Block("", "stem", 3, stem_width, stem_width, resolution, kernel_size=3, stride=2, activation=activation)
    blocks.append((stem, *stems.values()))
    heads = list(_heads(path, joined, activation))
    if not heads or len(blocks) < 2:
        lacks = "entries of a head (Conv_1-input)" if not heads else "entries of blocks (expanded_conv-input)"
        raise InputError(f"{path}: has no {lacks}, expected some; it may be truncated: give the whole published file")
    blocks += heads
    for block, entry in blocks:
        yield resolution, block.key, BlockLatency(entry.mean_ms, None, math.sqrt(entry.variance), entry.count)


def _inverted_residual(match: re.Match) -> Block:
    size, before, out, expand, kernel, stride = (
        int(match[name]) for name in ("size", "before", "out", "expand", "kernel", "stride")
    )
    older = match["se"] is None
    # The older format gives the ratio, the newer one the channels.
    mid = make_divisible(round(before * expand)) if older else expand
    activation = "relu6" if older else "h_swish" if match["hs"] == "1" else "relu"
    return Block(
        "", "mbconv", before, mid, out, size, kernel_size=kernel, stride=stride, activation=activation,
        se_channels=make_divisible(mid // 4) if match["se"] == "1" else 0,
        expand=mid != before, residual=match["skip"] == "1",
    )  # fmt: skip


def _heads(path: pathlib.Path, joined: dict[str, dict[tuple, _Entry]], activation: str) -> Iterator[tuple]:
    """Our head is several entries: 1x1 convolution, pooling, 1x1 convolution, dense layer."""
    for (size, before, _, mid), convolution in joined.get("Conv_1", {}).items():
        parts, features = [convolution], [entry for entry in joined.get("Conv_2", {}).items() if entry[0][1] == mid]
        feature, classified = (features[0][0][3], (1,)) if features else (0, (1, size))
        last = feature or mid
        outputs = [entry for entry in joined.get("Logits", {}).items() if entry[0][0] in classified]
        outputs = [entry for entry in outputs if entry[0][1] == last]
        pooled = joined.get("AvgPool2D", {}).get((size, mid, 1, mid))
        if not outputs or (features and pooled is None):
            missing = f"AvgPool2D-input:{size}x{size}x{mid}" if outputs else f"Logits-input with {last} channels"
            raise InputError(f"{path}: entry {missing} is missing; give the whole published file")
        parts += [pooled] if pooled is not None else []
        parts += [entry for _, entry in features[:1]]
        # One for each number of classes.
        for (_, _, classes), entry in outputs:
            block = Block("", "head", before, mid, classes, size, activation=activation, feature_channels=feature)
            total = _Entry(
                sum(part.mean_ms for part in (*parts, entry)),
                sum(part.variance for part in (*parts, entry)),
                min(part.count for part in (*parts, entry)),
            )
            yield block, total


def _read_yaml(path: pathlib.Path) -> dict[str, Any]:
    # Takes a tenth of a second to import, and only published tables need it.
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a published latency table; check the path") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = brief(error, 160)
        raise InputError(f"{path}: cannot be read as YAML or JSON ({reason}); fetch it anew") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{path}: holds {type(content).__name__}, expected entries by key; give a published table")
    return content


def _entry(path: pathlib.Path, key: str, fields: Any) -> _Entry:
    try:
        mean, count, spread = fields["mean"], fields["count"], fields["var" if "var" in fields else "std"]
        # YAML takes 1e-05, without a point, for text.
        mean, spread = (float(it) if isinstance(it, str) else it for it in (mean, spread))
        variance = spread if "var" in fields else spread**2
        usable = is_number(mean) and is_number(spread) and is_whole(count, 1)
        usable = usable and 0 <= mean <= MAX_MS and 0 <= variance <= MAX_MS**2
    except (KeyError, TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        raise InputError(f"{path}: entry {key!r} is {fields!r:.80}, expected count, mean and std (or var) in ms")
    return _Entry(float(mean), float(variance), count)
