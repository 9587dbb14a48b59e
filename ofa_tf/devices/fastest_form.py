"""`fastest_form`: how networks are best written for a device, by measuring it there."""

from collections.abc import Sequence

from ofa_tf.common import OfaError
from ofa_tf.common.form import FORMS, precision_of
from ofa_tf.devices.block_models import model_bytes
from ofa_tf.devices.device import Device
from ofa_tf.devices.table_builder import middle
from ofa_tf.spaces import Space

# Less than that may be chance: the form that is known to be good stays.
_CLEARLY = 0.98


def fastest_form(
    space: Space,
    precision: str,
    device: Device,
    *,
    forms: Sequence[str] = tuple(FORMS),
    seed: int = 0,
) -> tuple[str, dict[str, float]]:
    """Measures one network, of the space's middle choices with its largest kernels, in every form.

    Args:
        space: the space.
        precision: one of `deploy.PRECISIONS`.
        device: opened.
        forms: those that are tried. Some are the same file for a space without hard-swish or large kernels: each
            different file is measured once.
        seed: of the network's weights.

    Returns:
        The precision's default form, or the fastest where that is clearly (2%) faster; the times of all in
        milliseconds, the fastest first.

    Raises:
        OfaError: the device cannot run it in any form.

    Example:
        form, times_ms = fastest_form(space, "int8", device)
    """
    # Forms differ in how kernels of 7x7 are written, too.
    kernels = [max(gene.choices) for gene in space.fields.get("ks", ())]
    blocks = space.blocks(middle(space, **({"ks": kernels} if kernels else {})))
    files = {form: model_bytes(blocks, precision, form=form, seed=seed) for form in forms}
    different = list(dict.fromkeys(files.values()))
    measured_ms = dict(zip(different, device.compare(different), strict=True))
    times_ms = dict(sorted(((form, measured_ms[data]) for form, data in files.items()), key=lambda pair: pair[1]))
    fastest, least_ms = next(iter(times_ms.items()))
    if least_ms == float("inf"):
        raise OfaError(
            f"--form=auto: the device ran the network of {space.name} in none of the forms {', '.join(forms)}"
        )
    usual = precision_of(precision).form
    keeps = usual in times_ms and least_ms > _CLEARLY * times_ms[usual]
    return (usual if keeps else fastest), times_ms
