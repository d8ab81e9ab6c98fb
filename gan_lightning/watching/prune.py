"""Ends a run of a search that is worse, at the same iteration, than most others were."""

import warnings
from typing import TYPE_CHECKING

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info

from gan_lightning.errors import UserError
from gan_lightning.extras import extra
from gan_lightning.training.callback import IterationCallback
from gan_lightning.training.gan import GAN
from gan_lightning.training.hooks import callbacks_of
from gan_lightning.types import Fraction, NonNegativeInt
from gan_lightning.watching.evaluation import Evaluation

if TYPE_CHECKING:
    from optuna.trial import Trial


class Prune(IterationCallback):
    """Reports the number of each evaluation to Optuna, and stops the run where that is not among the better ones.

    The best so far of this run is compared with the best so far of the trials before it, at the same iteration. The run
    ends with the status "pruned", and with a checkpoint; the search counts it as such, not as a failure.

    Arguments:
        optimize: the number of an evaluation that the search is told.
        keep: the part of the trials before whose company a run has to be in: 0.5 is the better half.
        startup: how many trials run to their end first, to compare with.
        warmup: up to which iteration none is stopped.
        storage, study, trial: which trial of which study this run is; its search says so.

    Raises UserError for a run that is no search's, and where `optimize` is no number of its evaluations.
    """

    def __init__(
        self,
        optimize: str | list[str] | None,
        keep: Fraction = 0.5,
        startup: NonNegativeInt = 5,
        warmup: NonNegativeInt = 0,
        storage: str | None = None,
        study: str | None = None,
        trial: NonNegativeInt | None = None,
    ) -> None:
        if trial is None or storage is None:
            raise UserError(
                "callbacks=[prune] compares a run with others of a search, but this is no search's; add"
                " hydra/sweeper=optuna, or leave it out."
            )
        if not isinstance(optimize, str):
            raise UserError(f"callbacks=[prune] needs one number to compare runs by, but optimize is {optimize}.")
        self.optimize = optimize
        self.keep, self.startup, self.warmup = keep, startup, warmup
        self.storage, self.study, self.trial = storage, study, trial
        self.pruned = False
        self.reported: Trial | None = None

    def before_training(self, trainer: Trainer, model: GAN) -> None:
        known = evaluation_of(trainer).higher_is_better
        if self.optimize not in known:
            raise UserError(
                f"callbacks=[prune] compares runs by their evaluations, but optimize is {self.optimize}; they have"
                f" {', '.join(known)}."
            )
        if trainer.is_global_zero:
            self.reported = self.opened()

    def opened(self) -> "Trial | None":
        """The trial in its study; None if it has ended there, as where a person goes on with its run."""
        with extra("sweep", "optuna", "callbacks=[prune]"):
            import optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        spared = self.warmup + 1  # Optuna's warm-up ends before its last step
        pruner = optuna.pruners.PercentilePruner(100 * self.keep, self.startup, spared)
        study = optuna.load_study(study_name=self.study, storage=self.storage, pruner=pruner)
        frozen = study.get_trials(deepcopy=False)[self.trial]
        return None if frozen.state.is_finished() else optuna.trial.Trial(study, frozen._trial_id)

    def is_due(self, trainer: Trainer, completed: int) -> bool:
        last = evaluation_of(trainer).records.get("last")
        return last is not None and last["iteration"] == completed != trainer.max_steps

    def after_iteration(self, trainer: Trainer, model: GAN) -> None:
        values = evaluation_of(trainer).records["last"]["values"]
        is_worse = self.reported is not None and self.is_worse(self.reported, values.get(self.optimize), trainer)
        if trainer.strategy.broadcast(is_worse):
            rank_zero_info(
                f"{self.optimize} is not as good as other trials' at iteration {trainer.global_step}: pruned."
            )
            trainer.should_stop = self.pruned = True

    def is_worse(self, trial: "Trial", value: float | None, trainer: Trainer) -> bool:
        """Reports a number, None for one that isn't finite; returns what Optuna makes of it, and notes that there."""
        trial.report(float("nan") if value is None else value, trainer.global_step)
        with warnings.catch_warnings(
            action="ignore", category=RuntimeWarning
        ):  # NumPy's, of numbers that aren't finite
            is_worse = trial.should_prune()
        if is_worse:
            trial.set_user_attr("pruned", trainer.global_step)
        return is_worse


def evaluation_of(trainer: Trainer) -> Evaluation:
    """The run's evaluation, which has measured before its own callbacks are asked."""
    return next(each for each in callbacks_of(trainer) if isinstance(each, Evaluation))
