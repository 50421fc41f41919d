"""The optimizers of Keras 3.15 and the options that each takes, known without importing Keras.

The options' types and limits are in schemas/config.schema.yaml. A test holds this table against Keras itself.
Learning rate and weight decay (muon's adam_weight_decay too) have keys of their own in config.yaml.
MultiOptimizer and LossScaleOptimizer, which wrap other optimizers, are left out.
"""

COMMON = ("clipnorm", "clipvalue", "global_clipnorm")

# Name in config.yaml: (class in keras.optimizers, options beside the common ones).
OPTIMIZERS = {
    "adam": ("Adam", ("beta_1", "beta_2", "epsilon", "amsgrad")),
    "adamw": ("AdamW", ("beta_1", "beta_2", "epsilon", "amsgrad")),
    "adamax": ("Adamax", ("beta_1", "beta_2", "epsilon")),
    "adagrad": ("Adagrad", ("initial_accumulator_value", "epsilon")),
    "adadelta": ("Adadelta", ("rho", "epsilon")),
    "adafactor": ("Adafactor", ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")),
    "nadam": ("Nadam", ("beta_1", "beta_2", "epsilon")),
    "rmsprop": ("RMSprop", ("rho", "momentum", "epsilon", "centered")),
    "sgd": ("SGD", ("momentum", "nesterov")),
    "ftrl": (
        "Ftrl",
        (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        ),
    ),
    "lion": ("Lion", ("beta_1", "beta_2")),
    "lamb": ("Lamb", ("beta_1", "beta_2", "epsilon")),
    "muon": (
        "Muon",
        (
            "adam_beta_1",
            "adam_beta_2",
            "epsilon",
            "exclude_layers",
            "exclude_embeddings",
            "muon_a",
            "muon_b",
            "muon_c",
            "adam_lr_ratio",
            "momentum",
            "ns_steps",
            "nesterov",
            "rms_rate",
        ),
    ),
    "schedulefreeadamw": ("ScheduleFreeAdamW", ("beta_1", "beta_2", "epsilon", "warmup_steps")),
}


def class_name(name: str) -> str:
    """The class in keras.optimizers of an optimizer's name in config.yaml."""
    return OPTIMIZERS[name][0]


def options(name: str) -> tuple[str, ...]:
    """The options that an optimizer takes, its own first."""
    return (*OPTIMIZERS[name][1], *COMMON)


def conflict(optimizer: dict) -> tuple[str, str] | None:
    """The first option that the optimizer does not take, or that Keras would refuse or ignore.

    Args:
        optimizer: {"name": ..., option: value}, each value within the schema's limits.

    Returns:
        (option, what is wrong with it and what is expected), or None.
    """
    name, known = optimizer["name"], options(optimizer["name"])
    for option in optimizer:
        if option != "name" and option not in known:
            return option, f"no option of {name}; expected one of {', '.join(known)}"
    clips = [option for option in COMMON if optimizer.get(option) is not None]
    if len(clips) > 1:
        return clips[
            1
        ], f"given together with {clips[0]}; expected only one of clipnorm, clipvalue and global_clipnorm"
    if name == "sgd" and optimizer.get("nesterov") and not optimizer.get("momentum"):
        return "nesterov", "has no effect without momentum; expected momentum above 0 with it"
    if name in ("lion", "schedulefreeadamw") and optimizer.get("beta_1") == 0:
        return "beta_1", f"0 is out of range; expected a number above 0 and below 1 for {name}"
    return None


# Optimizers whose update of one weight depends on other weights.
NOT_ELEMENTWISE = ("adafactor", "lamb", "muon")


def not_elementwise(optimizer: dict) -> str:
    """What makes a resolved optimizer's update of a weight depend on other weights; empty if nothing does."""
    if optimizer["name"] in NOT_ELEMENTWISE:
        return f"the optimizer {optimizer['name']}"
    return next((name for name in ("clipnorm", "global_clipnorm") if optimizer.get(name) is not None), "")


def allows_proximal(optimizer: dict) -> bool:
    """Whether a proximal step can follow the step of a resolved optimizer, whose step sizes must be known."""
    if any(optimizer.get(option) is not None for option in COMMON) or optimizer.get("amsgrad"):
        return False
    return optimizer["name"] in ("adam", "adamw") or (
        optimizer["name"] == "sgd" and not optimizer.get("momentum")
    )
