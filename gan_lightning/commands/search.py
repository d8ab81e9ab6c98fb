"""Optuna's sweeper, with a study that lies in the sweep's folder, can be gone on with, and hears of pruned runs.

python -m gan_lightning -m hydra/sweeper=optuna optimize=frechet_distance callbacks=[prune] \\
    loss.optimizer.generator.lr=interval(1e-5,1e-3)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper as HydraOptunaSweeper
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState

from gan_lightning.errors import RunFailed, UserError, reason
from gan_lightning.paths import override_value

FILE, STUDY = "study.db", "search"
AGAIN = "again"  # of a trial: the number of an interrupted one whose place it takes
PRUNED = "pruned"  # of a trial: the iteration at which its run has ended itself (gan_lightning/watching/prune.py)


class Search(optuna.Study):
    """A study that is told of a run that has pruned itself as such, whatever number it has given."""

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: TrialState | None = None,
        skip_if_finished: bool = False,
    ) -> FrozenTrial:
        if isinstance(trial, Trial) and PRUNED in self._storage.get_trial(trial._trial_id).user_attrs:
            values, state = None, TrialState.PRUNED
        return super().tell(trial, values, state, skip_if_finished)


class OptunaSweeper(Sweeper):
    """Hydra's sweeper of this name, which takes the same settings.

    Without `storage` the study is a file of SQLite in the sweep's folder. The same command with the same
    `hydra.sweep.dir` then does what is missing of `n_trials`, and first what was interrupted, whose runs go on. In a
    storage of the user's own, which other processes may search in, `n_trials` are always new ones.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        folder = Path(str(config.hydra.sweep.dir)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.optimize = config.optimize
        self.prunes = "prune" in config.callbacks
        is_own = self.settings["storage"] is None
        if is_own:
            self.settings["storage"] = f"sqlite:///{folder / FILE}"
        self.settings["study_name"] = self.settings["study_name"] or (STUDY if is_own else config.hydra.sweep.dir)
        self.study = self.opened(HydraOptunaSweeper(**self.settings).sweeper._get_directions())
        if is_own and (done := self.taken_up()):
            self.settings["n_trials"] = max(0, self.settings["n_trials"] - done)
            if (seed := self.settings["sampler"].get("seed")) is not None:  # else the same trials would be drawn again
                sampler = OmegaConf.to_container(self.settings["sampler"])
                self.settings["sampler"] = OmegaConf.create({**sampler, "seed": seed + done})  # type: ignore[dict-item]
        self.sweeper = HydraOptunaSweeper(**self.settings)
        self.sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def opened(self, directions: list[Any]) -> optuna.Study:
        """The study, new or not. Raises UserError where it can't be had."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        name, storage = self.settings["study_name"], self.settings["storage"]
        try:
            study = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
        except Exception as error:  # of a driver of whichever database
            raise UserError(
                f"hydra.sweeper.storage is {storage}, which can't be opened ({reason(error)}); it is an URL of"
                " Optuna's, such as sqlite:///study.db, or null for a file in the sweep's folder."
            ) from error
        if list(study.directions) != [optuna.study.StudyDirection[each.upper()] for each in directions]:
            raise UserError(
                f"{storage} has a search of that name ({name}) for other numbers than optimize={self.optimize}; name"
                " another folder by hydra.sweep.dir, or another hydra.sweeper.study_name."
            )
        return study

    def taken_up(self) -> int:
        """Has what a stopped search has left be tried again, by the same values; returns how many trials are done."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})
        trials = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get(AGAIN) for trial in trials}
        return sum(trial.state.is_finished() and trial.number not in replaced for trial in trials)

    def sweep(self, arguments: list[str]) -> None:
        sweeper: Any = self.sweeper.sweeper
        configure, create = sweeper._configure_trials, optuna.create_study

        def configured(trials: list[Trial], *rest: Any) -> Sequence[Sequence[str]]:
            return [(*job, *self.told(trial)) for trial, job in zip(trials, configure(trials, *rest), strict=True)]

        def created(**settings: Any) -> optuna.Study:
            study = create(**settings)
            study.__class__ = Search
            return study

        sweeper._configure_trials = configured
        optuna.create_study = created
        try:
            self.sweeper.sweep(arguments)
        except (ValueError, KeyError):  # Optuna's answers to who asks for the best of none
            self.require_completed()
            raise
        finally:
            optuna.create_study = create
        self.require_completed()

    def told(self, trial: Trial) -> list[str]:
        """What the job of a trial is told of it, as overrides, if it is to compare itself with others."""
        known = {"storage": self.settings["storage"], "study": self.settings["study_name"]}
        where = [f"callbacks.prune.{key}={override_value(value)}" for key, value in known.items()]
        return [*where, f"callbacks.prune.trial={trial.number}"] if self.prunes else []

    def require_completed(self) -> None:
        """Raises RunFailed if all trials have ended and none has given a number."""
        states = [trial.state for trial in self.study.get_trials(deepcopy=False)]
        if states and TrialState.COMPLETE not in states and all(state.is_finished() for state in states):
            counted = ", ".join(f"{states.count(state)} {state.name.lower()}" for state in dict.fromkeys(states))
            raise RunFailed(f"No trial of the search has completed with a number of {self.optimize}: {counted}.")
