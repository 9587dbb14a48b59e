"""The files that the authors publish, by name."""

import pathlib

from ofa_tf.common import as_called
from ofa_tf.common.download import cache_folder, cached, mirrored

# Where they are published.
FILES_URL = "https://raw.githubusercontent.com/han-cai/files/master"
RESNET_URL = "https://huggingface.co/han-cai/ofa/resolve/main"

_SUPERNETS = (
    "ofa_mbv3_d234_e346_k357_w1.0",
    "ofa_mbv3_d234_e346_k357_w1.2",
    "ofa_proxyless_d234_e346_k357_w1.3",
)
_PREDICTORS = ("acc_predictor.pth", "ofa_resnet50_acc_predictor.pth")

# Recorded by users of the published files (the supernet) and from the files themselves (the predictors).
_SHA256 = {
    "ofa_mbv3_d234_e346_k357_w1.0": "a7def36bb4e4c688c16d37eb60d5d34b2e6dcf6438c05bc86dea918fda04c6c7",
    "acc_predictor.pth": "48685122a3540636b06699af66cd816456b25f29b69563e2fda9bed4018eeba0",
    "ofa_resnet50_acc_predictor.pth": "68912b4b4be38feb504c5b773dc847af23a637984d5eaabf548de72cd0f79529",
}


# As the authors' own code and their page of models call the same networks.
_ALIASES = {
    "ofa_supernet_mbv3_w10": "ofa_mbv3_d234_e346_k357_w1.0",
    "ofa_supernet_mbv3_w12": "ofa_mbv3_d234_e346_k357_w1.2",
    "ofa_supernet_proxyless": "ofa_proxyless_d234_e346_k357_w1.3",
    "ofa_supernet_resnet50": "ofa_resnet50",
}


def published_name(text: str) -> str:
    """The name by which a published network is known here, of whatever its authors call it.

    Args:
        text: such a name ("ofa_supernet_mbv3_w10", "note10_lat@22ms_top1@76.6_finetune@25"); a path is given back
            as it is.
    """
    is_path = pathlib.Path(text).name != text
    return text if is_path else _ALIASES.get(text, text.replace("@", "-"))


def published_names() -> list[str]:
    """The supernets that the authors publish, by the names of their spaces."""
    return [*_SUPERNETS, "ofa_resnet50"]


def published_url(name: str) -> str:
    """Where a file is published.

    Args:
        name: of a supernet, a specialized network (`zoo.names()`), or an accuracy predictor ("acc_predictor.pth").
    """
    if name == "ofa_resnet50":
        return f"{mirrored(RESNET_URL)}/ofa_supernet_resnet50"
    files = mirrored(FILES_URL)
    if name in _SUPERNETS:
        return f"{files}/ofa/ofa_nets/{name}"
    if name in _PREDICTORS:
        return f"{files}/ofa/{name}"
    return f"{files}/ofa/ofa_specialized/{name}/init"


def import_command(name: str) -> str:
    """The command after which a published supernet's weights are on this machine, "" for a space without such.

    Args:
        name: of a space.

    Example:
        import_command("ofa_resnet50")
    """
    if name not in published_names():
        return ""
    return as_called(f"python -m tools.import_ofa --checkpoint={name} --output={name}.npz")


def published_file(name: str, *, sha256: str | None = None) -> pathlib.Path:
    """A published file on this machine, downloaded unless it is in the cache; an interrupted download is resumed.

    Args:
        name: as for `published_url`.
        sha256: what its bytes must hash to, hexadecimal; the known hash unless given, where one is known.

    Raises:
        InputError: the file has another hash.
        OfaError: it cannot be fetched; the message says how to get it by hand.

    Example:
        load_ofa_checkpoint(net, published_file("ofa_mbv3_d234_e346_k357_w1.0"))
    """
    return cached(
        published_url(name),
        cache_folder() / name,
        sha256=sha256 or _SHA256.get(name),
        instead="or give its path in place of the name",
    )
