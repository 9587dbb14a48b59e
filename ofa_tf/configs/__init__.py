"""Experiments: one file each, and the file is the experiment. `tools.train --config=ofa_tf/configs/<name>.py`."""

# All fields that an experiment can have; what a file leaves out is at its default (`training.Recipe`), and can be given
# on the command line all the same. They stand here because flags are read before anything loads TensorFlow.
FIELDS = (
    *("space", "choices", "choices.ks", "choices.e", "choices.d", "choices.w", "resolutions"),
    *("dataset", "data_dir", "validation", "data_seed"),
    *("schedule", "decay", "warmup_from_base_rate", "batch_size", "base_batch_size", "precision", "jit_compile"),
    *("recompute", "seed", "momentum", "weight_decay", "label_smoothing", "kd_ratio", "feature_ratio", "labels"),
    *("dropout", "evaluate_every", "checkpoint_minutes", "checkpoint_steps", "keep_checkpoints"),
    *("calibration_images",),
    *("stages.*.epochs", "stages.*.warmup_epochs", "stages.*.learning_rate", "stages.*.subnets_per_step"),
    *("augmentation.crop_scale", "augmentation.crop_ratio", "augmentation.flip", "augmentation.brightness"),
    *("augmentation.saturation", "augmentation.randaugment", "augmentation.randaugment_factor", "augmentation.mixup"),
    *("augmentation.cutmix", "augmentation.pad"),
    *("preprocessing.mean", "preprocessing.std", "preprocessing.crop_fraction", "preprocessing.resize"),
)
