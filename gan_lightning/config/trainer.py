"""What a run does with each argument of Lightning's Trainer: it is obeyed, or refused with the reason. No torch."""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from omegaconf import DictConfig

from gan_lightning.config.check import KeyRefused, check
from gan_lightning.types import NonNegativeInt, PositiveInt

ENDS = "a run ends at trainer.max_steps, trainer.max_epochs or trainer.max_time, or by evaluation.patience or an alarm"
ROUNDS = "a run is counted in iterations, whose minibatches come in rounds and not in batches; use trainer.max_steps"
NOT_VALIDATED = "a run has no validation loop; evaluation.every=N measures it every N iterations"
NOT_TESTED = "a run has no such loop; python -m gan_lightning evaluate run=RUN measures it"
CLIPPING = "Lightning can't clip gradients when two optimizers take turns"

REFUSED = {
    "gradient_clip_val": CLIPPING,
    "gradient_clip_algorithm": CLIPPING,
    "accumulate_grad_batches": "Lightning can't accumulate gradients when two optimizers take turns;"
    " use a larger dataset.batch_size",
    "logger": "a run always logs to TensorBoard and metrics.csv in its folder; logger=wandb adds to them",
    "callbacks": "a run has callbacks of its own, and callbacks=NAME adds to them",
    "plugins": "a run has the environments of clusters that it knows; trainer.precision chooses the precision",
    "enable_model_summary": "the networks are in config.yaml, and callbacks=[network_summary] lists them",
    "enable_checkpointing": "a run always keeps its last checkpoint; checkpoint.every=N says how often it is made",
    "enable_autolog_hparams": "a run's loggers get its configuration and nothing else",
    "default_root_dir": "all that a run writes is in its folder; hydra.run.dir=DIR chooses it",
    "fast_dev_run": "a run that leaves no folder isn't one; use trainer.max_steps=1",
    "barebones": "it leaves out what a run is read off; trainer.enable_progress_bar=false leaves out the bar",
    "min_steps": ENDS,
    "min_epochs": ENDS,
    "limit_train_batches": ROUNDS,
    "overfit_batches": "a run is trained on all samples but those that dataset.held_out=N sets aside, and for"
    " trainer.max_steps iterations",
    "limit_val_batches": NOT_VALIDATED,
    "val_check_interval": NOT_VALIDATED,
    "check_val_every_n_epoch": NOT_VALIDATED,
    "num_sanity_val_steps": NOT_VALIDATED,
    "limit_test_batches": NOT_TESTED,
    "limit_predict_batches": NOT_TESTED,
    "inference_mode": NOT_TESTED,
    "use_distributed_sampler": "a run's devices share every minibatch by themselves",
    "reload_dataloaders_every_n_epochs": "a run's samples are loaded once, and have no epochs of a loader",
    "model_registry": "a run's generator is in its folder, in generator.safetensors",
}


@dataclass(frozen=True)
class Trainer:
    """The keys of the node `trainer` in conf/train.yaml; those with a default may be left out."""

    max_steps: int
    max_epochs: int | None
    max_time: str | dict[str, Any] | None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"]
    devices: int | str | list[NonNegativeInt]
    num_nodes: PositiveInt
    strategy: str
    precision: str
    enable_progress_bar: bool
    log_every_n_steps: PositiveInt | None = None
    sync_batchnorm: bool = False
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    detect_anomaly: bool = False
    profiler: Literal["simple", "advanced", "pytorch"] | None = None


def refused(key: str, given: str) -> str | None:
    """A sentence on a dotted key that is `given` if it is an argument of the Trainer that a run does not obey."""
    node, _, name = key.partition(".")
    return f"{given} can't be set: {REFUSED[name]}." if node == "trainer" and name in REFUSED else None


def refuse_arguments(config: DictConfig) -> None:
    """Raises KeyRefused for an argument in the node `trainer` of a config that a run does not obey."""
    node = config.get("trainer")
    for name in map(str, node) if isinstance(node, DictConfig) else ():
        if told := refused(f"trainer.{name}", f"trainer.{name}"):
            raise KeyRefused(f"trainer.{name}", told)


def require_obeyed(config: DictConfig) -> None:
    """Raises KeyRefused if the node `trainer` of a config has a value that a run does not obey, or lacks one."""
    if "trainer" not in config:
        return
    for field in fields(Trainer):
        if field.default is MISSING and field.name not in config.trainer:
            raise KeyRefused(f"trainer.{field.name}", f"trainer.{field.name} needs a value: a run can't do without it.")
    check(config.trainer, f"{__name__}.{Trainer.__name__}", "trainer")
