"""Rules that read a training's health off its numbers: numbers in, sentences out.

The numbers are those of watching/measurements.py; a rule whose numbers are absent does not apply. Each
threshold stands beside the extremes that healthy trainings showed, those of benchmarks/health_check.py.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any, NamedTuple

PATIENCE = 2  # consecutive measurements in which a condition has to hold
WARM_UP = 100  # iterations of which measurements tell nothing yet
DIVERGING = "Diverging"

Numbers = Mapping[str, float]


class Finding(NamedTuple):
    """What is wrong, the numbers that show it, and the usual remedy."""

    kind: str
    facts: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """A finding that was said, at an iteration."""

    kind: str
    iteration: int
    sentence: str


class Watch:
    """Turns measurements into verdicts.

    Rules stand in an order, causes before their symptoms: of several that apply, the first alone counts. It becomes a
    verdict when it has been the first in PATIENCE measurements in a row; those up to iteration WARM_UP don't count. It
    is said again only if it did not apply in between. Divergence is said at once.
    """

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.suspected = ""
        self.times = 0
        self.standing: list[str] = []  # kinds that were said and still hold

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self), "verdicts": [asdict(verdict) for verdict in self.verdicts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state, verdicts=[Verdict(**verdict) for verdict in state["verdicts"]])

    def check(self, numbers: Numbers, iteration: int) -> Verdict | None:
        """The verdict that a measurement leads to, if any."""
        findings = find(numbers)
        self.standing = [kind for kind in self.standing if kind in {finding.kind for finding in findings}]
        first = findings[0] if findings else None
        if first is None or (iteration <= WARM_UP and first.kind != DIVERGING):
            self.suspected, self.times = "", 0
            return None
        self.times = self.times + 1 if first.kind == self.suspected else 1
        self.suspected = first.kind
        if first.kind in self.standing or self.times < (1 if first.kind == DIVERGING else PATIENCE):
            return None
        return self.say(first, iteration)

    def say(self, finding: Finding, iteration: int) -> Verdict:
        """Makes a finding a verdict."""
        self.standing.append(finding.kind)
        sentence = f"{finding.kind} at iteration {iteration}: {finding.facts}. {finding.remedy}"
        self.verdicts.append(Verdict(finding.kind, iteration, sentence))
        return self.verdicts[-1]


def find(numbers: Numbers) -> list[Finding]:
    """All findings whose conditions hold, causes before their symptoms."""
    known = defaultdict(lambda: nan, numbers)  # no comparison with NaN holds
    return [finding for rule in RULES if (finding := rule(known))]


# The rules. Healthy runs are those of benchmarks/health_check.py, from the second measurement on.


def diverged(reason: str) -> Finding:
    """Of numbers that are no longer finite."""
    remedy = "Go on from a checkpoint before, with a lower learning rate or a stronger regularizer."
    return Finding(DIVERGING, reason.rstrip("."), remedy)


def not_finite(n: Numbers) -> Finding | None:
    """A weight, a sample or a logit is NaN or infinite: never in a healthy run."""
    networks = [name for name in ("generator", "discriminator") if n[f"non_finite/{name}"] > 0]
    return diverged(f"the {' and the '.join(networks)} gave numbers that are not finite") if networks else None


def clipping_pins_weights(n: Numbers) -> Finding | None:
    """More than 80 % of the critic's weights lie at the bound; healthy runs: 46 % at most."""
    if not n["clipped"] > 0.8:
        return None
    facts = f"{n['clipped']:.0%} of the critic's weights lie at the clipping bound (expected below 80 %)"
    return Finding("Clipping pins weights", facts, "Raise regularizer.weight_clipping.bound, or use loss=wgan_gp.")


def discriminator_not_learning(n: Numbers) -> Finding | None:
    """No weight moves, or its logit of a training sample is above that of a fake in less than 25 % of pairs.

    Healthy runs: 42 % at least, with weight clipping.
    """
    remedy = (
        "See that its learning rate is above 0 and its weights take gradients; give it more updates (loss.n_critic)."
    )
    if n["update_ratio/discriminator"] == 0:
        return Finding("Discriminator not learning", "its weights did not move in the last iteration", remedy)
    if n["ranking"] < 0.25:
        facts = f"it ranks a real sample above a fake one in {n['ranking']:.0%} of pairs (expected above 25 %)"
        return Finding("Discriminator not learning", facts, remedy)
    return None


def critic_not_lipschitz(n: Numbers) -> Finding | None:
    """Slopes between real samples and fakes average more than 10, of a critic that needs a bound; healthy runs: 1.1."""
    slope = n["critic_gradient/interpolate/mean"]
    if "wasserstein_estimate" not in n or not slope > 10:
        return None
    facts = f"its gradient between real samples and fakes has norm {slope:.3g} on average (expected about 1)"
    return Finding("Critic not Lipschitz", facts, "Add 'regularizer=[gradient_penalty]' or raise its weight.")


def exploding(n: Numbers) -> Finding | None:
    """Logits lie more than 10,000 apart; healthy runs: 6 at most."""
    if not n["logit_range"] > 1e4:
        return None
    return diverged(f"the discriminator's logits lie {n['logit_range']:.3g} apart (expected below 10,000)")


def discriminator_overfitting(n: Numbers) -> Finding | None:
    """40 % more of the training samples than of held-out ones are taken for real; healthy runs: 27 % at most."""
    if not n["overfitting_gap"] > 0.4:
        return None
    facts = (
        f"it takes {n['accuracy/real']:.0%} of the training samples for real, but {n['accuracy/held_out']:.0%} of"
        " held-out ones (expected less than 40 % between them)"
    )
    remedy = "More data, 'regularizer=[diffaugment]' or r1, or a smaller discriminator help; so does an earlier stop."
    return Finding("Discriminator overfitting", facts, remedy)


def vanishing_gradients(n: Numbers) -> Finding | None:
    """The loss passes on less than 1 % of a logit's change, or no gradient arrives.

    Healthy runs: half of it and a norm of 0.02 at least.
    """
    slope, norm = n["loss_slope"], n["gradient_norm/generator"]
    if not (slope < 0.01 or norm < 1e-6):
        return None
    facts = (
        f"the norm of the generator's gradient is {norm:.2g}, as its loss passes on {slope:.2g} of a change of the"
        " logits (expected above 0.01)"
    )
    remedy = "Use the non-saturating loss=vanilla or loss=wgan_gp, or fewer or slower discriminator updates."
    return Finding("Vanishing generator gradients", facts, remedy)


def mode_collapse(n: Numbers) -> Finding | None:
    """Fakes differ by less than 0.3 of what training samples do, or lie near less than a tenth of their variety.

    Healthy runs: 0.4 and 19 % at least, with weight clipping. Fakes of two classes may differ as much as real samples
    do: loss=began with the paper's values on digits came to 0.6, and 5 %.
    """
    if n["diversity"] < 0.3:
        facts = f"generated samples differ by {n['diversity']:.2g} of what real ones do (expected above 0.3)"
    elif n["coverage"] < 0.1:
        facts = (
            f"generated samples lie near {n['coverage']:.1%} of the variety that real ones show each other (expected"
            " above 10 %)"
        )
    else:
        return None
    remedy = "Try loss=wgan_gp, r3gan or pacgan, more discriminator updates, or lower learning rates."
    return Finding("Mode collapse suspected", facts, remedy)


def discriminator_overpowering(n: Numbers) -> Finding | None:
    """Over 99 % of real samples and fakes are told, with over half of the logits saturated; healthy runs: 0 %.

    Accuracies alone tell nothing: network=dcgan reaches them in healthy runs, and a critic of distances is to.
    """
    told = min(n["accuracy/real"], n["accuracy/fake"])
    if not (told > 0.99 and n["saturated"] > 0.5):
        return None
    facts = (
        f"it classifies {told:.1%} of real samples and of fakes correctly, and {n['saturated']:.0%} of its logits"
        " saturate the sigmoid (expected below 50 %)"
    )
    remedy = "Slow it down: a lower learning rate, fewer updates (loss.n_critic), r1 or a smaller network."
    return Finding("Discriminator overpowering", facts, remedy)


# Causes before their symptoms.
RULES: tuple[Callable[[Numbers], Finding | None], ...] = (
    not_finite,
    clipping_pins_weights,
    critic_not_lipschitz,
    exploding,
    discriminator_not_learning,
    discriminator_overfitting,
    vanishing_gradients,
    mode_collapse,
    discriminator_overpowering,
)
