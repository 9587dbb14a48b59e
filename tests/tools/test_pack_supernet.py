"""What `tools.pack_supernet` makes of a run: its weights, classes and origin; what is untrained is told."""

import numpy as np

from ofa_tf import networks
from ofa_tf.networks import PackedSupernet
from ofa_tf.training import open_experiment
from ofa_tf.training.checkpoint import save_checkpoint
from tests.binaries import run_binary
from tests.data.image_files import write_folder


def test_a_packed_run_is_the_network_of_its_last_stage(tmp_path):
    """Also where later stages are not finished, which a warning says; without a stage there is nothing to pack."""
    photos = write_folder(tmp_path / "photos" / "train", {"ant": 20, "bee": 20}).parent
    config = {
        "space": "ofa_tiny", "dataset": "folder", "data_dir": str(photos), "validation": 10, "data_seed": 0,
        "batch_size": 8, "schedule": "delayed", "stages": {name: {"epochs": 1} for name in ("full", "all")},
        "choices": {"d": (1, 2)},
    }  # fmt: skip
    run, dataset = open_experiment(tmp_path / "run", config)
    output = tmp_path / "packed.npz"
    command = ("tools.pack_supernet", f"--run_dir={run.path}", f"--output={output}", "--dtype=float32")
    done = run_binary(*command)
    assert (done.returncode, "no finished stage" in done.stderr, output.exists()) == (2, True, False)
    trained = networks.build(run.space, seed=3)
    save_checkpoint(run.stage_weights("full"), trained, {"stage": "full", "step": 3})
    done = run_binary(*command)
    assert (done.returncode, "stage full" in done.stdout) == (0, True), done.stderr
    assert "stages all are not finished" in done.stderr
    packed = PackedSupernet.load(output)
    assert packed.class_names == ("ant", "bee")
    assert packed.dataset == {"validation": 10, "seed": 0, "digest": dataset.digest}
    assert (packed.provenance["stage"], packed.provenance["recipe"]) == ("full", run.recipe.to_config())
    for name, value in trained.state().items():
        np.testing.assert_array_equal(packed.net.state()[name], value)
    save_checkpoint(run.stage_weights("all"), networks.build(run.space, seed=4), {"stage": "all", "step": 3})
    done = run_binary(*command)
    assert (done.returncode, "stage all" in done.stdout, "not finished" in done.stderr) == (0, True, False)
