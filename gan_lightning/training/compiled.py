"""What networks minimise as compiled graphs, penalties and gradients of gradients in them.

torch's compiler can't go back twice through what it has compiled, so that a critic compiled by itself fails under a
gradient penalty. Here the whole of a network's loss is one graph, within which a penalty's gradient is taken
(losses/regularizers.py), and only what is differentiated once leaves it. Random numbers are those of torch's own
generators, in the same order, so that a graph differs from what it stands for by rounding alone. That is checked before
a run trains with it; where there is no compiler, where something can't be compiled, or where the check fails, networks
are trained without it, in one sentence.
"""

import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from gan_lightning import ranks
from gan_lightning.errors import printable, reason
from gan_lightning.losses.heads import Drawn
from gan_lightning.losses.objectives import Terms
from gan_lightning.losses.regularizers import Penalty, WeightPenalty
from gan_lightning.training.minibatches import Minibatch
from gan_lightning.training.terms import (
    EAGER,
    OfDiscriminator,
    OfGenerator,
    Play,
    TermFunctions,
)

if TYPE_CHECKING:
    from gan_lightning.training.gan import GAN

MOST_GRAPHS = 4  # of the discriminator, which has one for each combination of penalties that are due at once
# How far a graph's losses and gradients may be from those without it, relative to their size: by other orders of
# summation, or by what bfloat16 rounds elsewhere.
ROUNDING, ROUNDING_BFLOAT16 = 1e-3, 0.2

Found = TypeVar("Found", OfDiscriminator, OfGenerator)

_log = logging.getLogger(__name__)


class Misfit(Exception):
    """A graph computes something else."""


class Trial(NamedTuple):
    """Terms, by name, and the gradients of their sum, flattened."""

    terms: Terms
    gradients: Tensor


@dataclass
class Graph(Generic[Found]):
    """`compiled` for minibatches of the `shapes` that it has been tried with, and `eager` for all others.

    Where graphs can't be compiled anew, when what they rest on changes, `give_up` is told why, and is to see to it that
    they aren't called again.
    """

    eager: Callable[[Play, Tensor, Tensor | None, Drawn], Found]
    compiled: Callable[[Play, Tensor, Tensor | None, Drawn], Found]
    shapes: tuple[torch.Size | None, ...]
    give_up: Callable[[str], None]

    def __call__(self, play: Play, real: Tensor, labels: Tensor | None, drawn: Drawn) -> Found:
        if shapes_of(real, labels) != self.shapes:
            return self.eager(play, real, labels, drawn)
        try:
            return self.compiled(play, real, labels, drawn)
        except Exception as error:
            # Which take a second to import.
            from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

            if not isinstance(error, FailOnRecompileLimitHit | TorchDynamoException):
                raise
            self.give_up(f"torch's compiler says: {first_sentence(error)}")
            return self.eager(play, real, labels, drawn)


def shapes_of(real: Tensor, labels: Tensor | None) -> tuple[torch.Size | None, ...]:
    return real.shape, None if labels is None else labels.shape


def compiled_terms(model: "GAN", minibatch: Minibatch) -> TermFunctions:
    """The terms of both networks as graphs, compiled and tried on a minibatch such as they will be given.

    The same as ever, which is told in one sentence, where that can't be. Weights, buffers and gradients stay as they
    are; torch's random generators don't. It takes a minute of a CPU, and seconds where torch has kept them
    (TORCHINDUCTOR_CACHE_DIR).
    """
    if (found := obstacle(model)) is not None:
        return uncompiled(found)
    started = time.monotonic()
    # Which the console shows too, while nothing else happens for so long.
    _log.warning("Compiling what the networks minimise: a minute or so, and seconds in later runs of the same.")
    try:
        with compilers_silenced():
            functions = TermFunctions(*term_graphs())
            require_same_terms(model, functions, minibatch)
    # Whatever torch's compilers and those that they call raise.
    except Exception as error:
        _log.debug("not compiled", exc_info=True)
        whose = "" if isinstance(error, Misfit) else "torch's compiler says: "
        return uncompiled(whose + first_sentence(error))
    _log.info("compiled in %.0f s", time.monotonic() - started)
    note_kept(model, len(minibatch.samples))
    shapes = shapes_of(*minibatch)
    return TermFunctions(
        Graph(EAGER.discriminator, functions.discriminator, shapes, model.do_without_graphs),
        Graph(EAGER.generator, functions.generator, shapes, model.do_without_graphs),
    )


def first_sentence(error: Exception) -> str:
    """Of what torch's compilers say, which goes on for a page."""
    return reason(Exception(str(error).strip().partition("\n")[0] or type(error).__name__))


def uncompiled(found: str) -> TermFunctions:
    _log.warning("%s", printable(f"Networks train without compiled graphs: {found.rstrip('.')}."))
    return EAGER


def obstacle(model: "GAN") -> str | None:
    """Why a model's losses wouldn't be the same graphs at each step."""
    if not model.spares_hooks:
        return "hooks, a scaler, a profiler or several devices have to do with gradients"
    if model.timetable.fields.keys() - {"ema"}:
        return "a regularizer follows a schedule, and graphs hold its numbers fixed"
    if len(due_numbers(model.penalties)) > MOST_GRAPHS:
        return "penalties that aren't due at each step come together in too many ways"
    if torch.is_anomaly_enabled():
        return "trainer.detect_anomaly looks at each gradient"
    # A look at such a weight computes it, power iterations and all, and a graph looks before it begins.
    is_computed = any(map(is_parametrized, model.discriminator.modules()))
    if is_computed and any(isinstance(part, WeightPenalty) for part in model.penalties.values()):
        return "weights that are computed anew in each pass are penalised"
    return None


def term_graphs() -> Iterator[Any]:
    """Of both functions, compiled when they are called."""
    from torch._C._dynamo.eval_frame import reset_code  # which takes a second to import

    # Hooks that are added later are heard.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    # One order of random numbers with and without graphs; and no processes beside this one, which may outlive it.
    options: dict[str, Any] = {"fallback_random": True, "compile_threads": 1}
    for function in EAGER:
        reset_code(function.__code__)  # of graphs of an earlier run in this process, of which torch keeps a few at most
        yield torch.compile(function, fullgraph=True, dynamic=False, options=options)


def due_numbers(penalties: Mapping[str, Penalty | WeightPenalty]) -> list[int]:
    """Discriminator steps at which other penalties are due than at those before, one more than are wanted at most."""
    found: dict[tuple[bool, ...], int] = {}
    every = [penalty.every for penalty in penalties.values()]
    for number in range(max(every, default=1) ** 2):
        found.setdefault(tuple(number % each == 0 for each in every), number)
        if len(found) > MOST_GRAPHS:
            break
    return list(found.values())


def require_same_terms(model: "GAN", functions: TermFunctions, minibatch: Minibatch) -> None:
    """Raises Misfit where graphs give other losses or gradients."""
    allowed = ROUNDING_BFLOAT16 if model.rounds else ROUNDING
    for number in (*due_numbers(model.penalties), None):
        whose = "generator" if number is None else "discriminator"
        wanted, found = (tried_terms(model, each, minibatch, number) for each in (EAGER, functions))
        for name, value in wanted.terms.items():
            if not (found.terms[name] - value).abs() <= allowed * max(1.0, value.abs().item()):
                raise Misfit(f"the {whose}'s {name} isn't the same with them")
        difference = (found.gradients - wanted.gradients).norm()
        if not difference <= allowed * wanted.gradients.norm() + torch.finfo(torch.float32).eps:
            raise Misfit(f"the {whose}'s gradients aren't the same with them")


def tried_terms(model: "GAN", functions: TermFunctions, minibatch: Minibatch, number: int | None) -> Trial:
    """A step without its step: the discriminator's `number`-th, or one of the generator."""
    real, labels = minibatch
    with (
        keeping_buffers(model.generator),
        keeping_buffers(model.discriminator),
        ranks.together(model.device, model.seed),
        discriminator_frozen(model, number is None),
    ):
        play = model.play(number=number)
        drawn = model.drawn(len(real), labels)
        function = functions.generator if number is None else functions.discriminator
        terms = function(play, real, labels, drawn).terms
        network: nn.Module = play.generator if number is None else play.adapter.discriminator
        # A twin's weights, and those that it shares; and the network's own, which penalties in float32 are of.
        own = {id(p): p for p in (*network.parameters(), *play.weights.parameters()) if p.requires_grad}
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), list(own.values()), allow_unused=True)
    flat = [gradient.flatten().float() for gradient in gradients if gradient is not None]
    return Trial({name: value.detach() for name, value in terms.items()}, torch.cat(flat))


@contextmanager
def discriminator_frozen(model: "GAN", frozen: bool) -> Iterator[None]:
    """In the block, the discriminator's weights need no gradients, as in a step of the generator."""
    if not frozen:
        yield
        return
    model.freeze_discriminator(True)
    try:
        yield
    finally:
        model.freeze_discriminator(False)


@contextmanager
def keeping_buffers(network: nn.Module) -> Iterator[None]:
    """After the block, a network's buffers are as they were: running means, and what power iterations have found."""
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


@contextmanager
def compilers_silenced() -> Iterator[None]:
    """Without what torch's compilers tell of themselves, which is nothing that a user can mend."""
    loggers = [
        logging.getLogger(name) for name in ("torch._dynamo", "torch._inductor", "torch._functorch", "torch.utils")
    ]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


# Which graphs torch has kept.


def is_kept(model: "GAN", batch_size: int) -> bool:
    """Whether a run of the same networks, losses and minibatches has compiled here, and torch still has its graphs."""
    try:
        return mark_of_graphs(model, batch_size).exists()
    except OSError:  # where no cache can be had
        return False


def mark_of_graphs(model: "GAN", batch_size: int) -> Path:
    """A file among those that torch keeps, and is cleared with, for what a model's graphs depend on."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir  # which takes a second

    told = (torch.__version__, model.device.type, model.rounds, batch_size, *model.parts)
    return Path(cache_dir(), "gan_lightning", hashlib.sha256(repr(told).encode()).hexdigest()[:32])


def note_kept(model: "GAN", batch_size: int) -> None:
    """Remembers that a model's graphs have been compiled; without room or permission, it isn't."""
    try:
        path = mark_of_graphs(model, batch_size)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        _log.debug("%s", error)
