"""What a user should know of a table before trusting it: `table_summary`."""

from ofa_tf.predictors.latency_table import DRIFT, HOT, LatencyTable

# A block whose slow runs take so many times its median was disturbed, or has two speeds.
_SPREAD = 1.5
_NAMED = 3


def table_summary(table: LatencyTable) -> str:
    """One line: how much slower the device became, and which blocks are doubtful.

    Example:
        print(table_summary(LatencyTable.load("phone.json")))
    """
    spread = {
        key: latency.p95_ms / latency.median_ms
        for key, latency in table.blocks.items()
        if latency.p95_ms is not None and latency.p95_ms > _SPREAD * latency.median_ms
    }
    widest = sorted(spread, key=spread.__getitem__, reverse=True)
    parts = [f"{len(table.blocks)} blocks"]
    if DRIFT in table.versions:
        parts.append(f"reference network at most {table.versions[DRIFT]} of its fastest time")
    parts.append(f"{len(spread)} blocks with a p95 above {_SPREAD:g} of the median{_some(widest, spread)}")
    if HOT in table.versions:
        hot = table.versions[HOT].split()
        parts.append(f"{len(hot)} measured hot{_some(hot)}")
    return "; ".join(parts)


def _some(keys: list[str], ratios: dict[str, float] | None = None) -> str:
    shown = [key if ratios is None else f"{key} {ratios[key]:.1f}" for key in keys[:_NAMED]]
    more = ", ..." if len(keys) > _NAMED else ""
    return f" ({', '.join(shown)}{more})" if shown else ""
