"""The contract of objectives (gan_lightning.losses.Objective)."""

import copy

import torch
from torch import Tensor, nn

from gan_lightning.losses.objectives import Objective, Stateful
from gan_lightning.testing._contract import (
    attempt,
    copies,
    require,
    require_configurable,
    require_kind,
    require_record,
    require_scalars,
    require_unchanged,
    seeded,
)

_SHAPES = ((1,), (2,), (7,), (7, 1))
_EXTREME = 1e4  # exact in float32
_FLAGS = ("uses_real", "needs_energy", "needs_lipschitz", "is_probability")


def check_objective(objective: Objective) -> None:
    """Raises AssertionError unless an objective can be trained with.

    Its terms are fresh dicts of finite scalars, of the logits' type, float32 or float64, with gradients to the logits,
    for (N,) and (N, 1) of one sample or several and of any size. They follow from the arguments, which stay as they
    are. The discriminator's loss is lower where it tells real from fake than where it takes one for the other, and the
    generator's falls as its fakes come near the boundary. `uses_real` is true to what the generator's loss looks at.
    `score` keeps shapes; `diagnostics` are finite and have no graph of their own. It is a frozen dataclass of plain
    values or, with a state, a module whose buffers `advance` moves, and which copies take over.
    """
    require_kind(objective, "an objective", Objective)
    require_configurable(objective)
    if not isinstance(objective, Stateful):
        require_record(objective)
    for name in _FLAGS:
        flag = getattr(objective, name)
        require(isinstance(flag, bool), objective, f"`{name}` to be True or False", repr(flag))
    with seeded(0):
        for shape in _SHAPES:
            _check_terms(objective, shape)
        _check_real(objective)
        _check_extremes(objective)
        _check_direction(objective, _check_boundary(objective))
        for shape in _SHAPES:
            _check_score(objective, shape)
            _check_diagnostics(objective, shape)
        if isinstance(objective, Stateful):
            _check_state(objective)


def _logits(objective: Objective, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits of real and fake samples: minus energies where it takes such."""
    values = torch.randn(2, *shape, dtype=torch.float64)
    real, fake = (-values.abs() if objective.needs_energy else values).to(dtype)
    return real.requires_grad_(), fake.requires_grad_()


def _discriminator(objective: Objective, real: Tensor, fake: Tensor) -> Tensor:
    """The sum of the discriminator's terms."""
    what = f"the discriminator's terms of logits {tuple(real.shape)}"
    return _sum(objective, what, attempt(objective, what, objective.discriminator, real, fake), real.dtype)


def _generator(objective: Objective, fake: Tensor, real: Tensor) -> Tensor:
    """The sum of the generator's terms, which is given no real logits that it does not ask for."""
    what = f"the generator's terms of logits {tuple(fake.shape)}"
    given = real if objective.uses_real else None
    return _sum(objective, what, attempt(objective, what, objective.generator, fake, given), fake.dtype)


def _sum(objective: Objective, what: str, terms: object, dtype: torch.dtype) -> Tensor:
    found = require_scalars(objective, what, terms, dtype)
    require(bool(found), objective, what, "none")
    return torch.stack(list(found.values())).sum()


def _check_terms(objective: Objective, shape: tuple[int, ...]) -> None:
    """Gradients, arguments that stay, and the same again; of float32 as of float64."""
    real, fake = _logits(objective, shape, torch.float64)
    before = copies(real, fake)
    totals = (_discriminator(objective, real, fake), _generator(objective, fake, real))
    single = [tensor.detach().float() for tensor in (real, fake)]
    again = (_discriminator(objective, real, fake), _generator(objective, fake, real))
    in_single = (_discriminator(objective, *single), _generator(objective, single[1], single[0]))
    require_unchanged(objective, "the logits", before, [real, fake])
    owners = ("the discriminator's", "the generator's")
    for owner, total, repeated, of_single in zip(owners, totals, again, in_single, strict=True):
        same = torch.equal(total, repeated)
        require(same, objective, f"{owner} loss to follow from its arguments", f"{total:g} and then {repeated:g}")
        close = torch.allclose(of_single.double(), total, rtol=1e-4, atol=1e-4)
        require(close, objective, f"{owner} loss of float32 to be that of float64, {total:g}", f"{of_single:g}")
    _require_gradients(objective, "discriminator", totals[0], {"real": real, "fake": fake})
    _require_gradients(objective, "generator", totals[1], {"fake": fake})
    first, second = objective.discriminator(real, fake), objective.discriminator(real, fake)
    require(first is not second, objective, "a dict of its own for each call, which is added to", "one and the same")


def _require_gradients(objective: Objective, owner: str, total: Tensor, logits: dict[str, Tensor]) -> None:
    expected = f"gradients from the {owner}'s loss to the logits of"
    require(total.requires_grad, objective, f"{expected} its samples", "a loss without a graph")
    gradients = torch.autograd.grad(total, list(logits.values()), allow_unused=True)
    for name, gradient in zip(logits, gradients, strict=True):
        require(gradient is not None, objective, f"{expected} {name} samples", "none")
        require(bool(gradient.isfinite().all()), objective, f"{expected} {name} samples to be finite", gradient)


def _check_real(objective: Objective) -> None:
    """Whether the generator's loss looks at real logits, as `uses_real` says."""
    (real, fake), (other, _) = _logits(objective, (7,)), _logits(objective, (7,))
    if objective.uses_real:
        differ = not torch.equal(_generator(objective, fake, real), _generator(objective, fake, other))
        require(differ, objective, "a generator's loss that depends on real logits, as uses_real=True says", "the same")
        return
    without = _generator(objective, fake, real)
    for given in ((fake,), (fake, real)):
        what = "the generator's terms"
        total = _sum(objective, what, attempt(objective, what, objective.generator, *given), fake.dtype)
        expected = "a generator's loss that real logits don't change, as uses_real=False says"
        require(torch.equal(total, without), objective, expected, f"{without:g} without and {total:g} with them")


def _check_extremes(objective: Objective) -> None:
    """Finite losses and gradients of logits of any size."""
    sizes = (0.0, -_EXTREME) if objective.needs_energy else (_EXTREME, -_EXTREME)
    for of_real in sizes:
        for of_fake in sizes:
            real, fake = (torch.full((2,), size, requires_grad=True) for size in (of_real, of_fake))
            _require_gradients(objective, "discriminator", _discriminator(objective, real, fake), {"real": real})
            _require_gradients(objective, "generator", _generator(objective, fake, real), {"fake": fake})


def _check_boundary(objective: Objective) -> float:
    """The boundary; where there is none, a logit that real and fake samples may lie around."""
    boundary = attempt(objective, "boundary()", objective.boundary)
    expected = "a boundary that is a finite number or None"
    require(boundary is None or isinstance(boundary, int | float), objective, expected, repr(boundary))
    require(boundary is None or abs(boundary) < float("inf"), objective, expected, repr(boundary))
    return boundary if boundary is not None else -1.0 if objective.needs_energy else 0.0


def _check_direction(objective: Objective, middle: float) -> None:
    """Higher means more real: for whom each network's loss is lower."""
    low, between, high = (torch.full((2,), middle + step) for step in (-0.5, 0.0, 0.5))
    right, wrong = _discriminator(objective, high, low), _discriminator(objective, low, high)
    expected = "a discriminator's loss that is lower for higher logits of real samples than of fakes"
    require(bool(right < wrong), objective, expected, f"{right:g}, and {wrong:g} the other way round")
    near, far = _generator(objective, between, between), _generator(objective, low, between)
    expected = "a generator's loss that is lower for higher logits of fakes"
    require(bool(near < far), objective, expected, f"{near:g}, and {far:g} for lower ones")


def _check_score(objective: Objective, shape: tuple[int, ...]) -> None:
    logits, _ = (tensor.detach() for tensor in _logits(objective, shape))
    (before,) = copies(logits)
    score: object = attempt(objective, f"score of logits {shape}", objective.score, logits)
    require_unchanged(objective, "the logits that are scored", [before], [logits])
    require(isinstance(score, Tensor), objective, "a score that is a tensor", type(score).__name__)
    assert isinstance(score, Tensor)
    require(score.shape == shape, objective, f"a score of the logits' shape, {shape}", tuple(score.shape))
    require(bool(score.isfinite().all()), objective, "a finite score", score)
    fits = not objective.is_probability or torch.allclose(score, torch.sigmoid(logits))
    require(fits, objective, "a score that is the logits' sigmoid, as is_probability says", score)


def _check_diagnostics(objective: Objective, shape: tuple[int, ...]) -> None:
    real, fake = (tensor.detach() for tensor in _logits(objective, shape))
    before = copies(real, fake)
    found = attempt(objective, f"diagnostics of logits {shape}", objective.diagnostics, real, fake)
    require_unchanged(objective, "the logits that are diagnosed", before, [real, fake])
    for name, value in require_scalars(objective, "diagnostics", found).items():
        require(not value.requires_grad, objective, "diagnostics without a graph", f"one for `{name}`")


def _check_state(objective: Objective) -> None:
    """Buffers that `advance` moves in place, on a copy."""
    require(isinstance(objective, nn.Module), objective, "a torch module, as it has `advance`", "another class")
    twin = attempt(objective, "a copy of it", copy.deepcopy, objective)
    assert isinstance(twin, nn.Module)
    assert isinstance(twin, Stateful)
    count = len(list(twin.parameters()))
    require(not count, objective, "a state of buffers, which no optimizer moves", f"{count} parameters")
    state = dict(twin.named_buffers())
    require(bool(state), objective, "buffers that hold its state", "none")
    first = copies(*state.values())
    real, fake = (tensor.detach() for tensor in _logits(objective, (7,)))
    logged = twin.diagnostics(real, fake)
    kept = copies(*logged.values())
    moved = False
    for means in ((-4.0, -1.0), (-1.0, -4.0)):
        attempt(objective, "advance()", twin.advance, *(torch.tensor(mean, requires_grad=True) for mean in means))
        held = all(buffer is state[name] for name, buffer in twin.named_buffers())
        require(held, objective, "`advance` to move its buffers in place", "other tensors")
        graphs = [name for name, buffer in state.items() if buffer.requires_grad]
        require(not graphs, objective, "a state without a graph", f"one for {', '.join(graphs)}")
        require_unchanged(objective, "diagnostics from before `advance`", kept, list(logged.values()))
        moved |= not all(torch.equal(one, other) for one, other in zip(first, state.values(), strict=True))
    require(moved, objective, "`advance` to move its state", "the same state")
    fresh = copy.deepcopy(objective)
    assert isinstance(fresh, nn.Module)
    assert isinstance(fresh, Stateful)
    fresh.load_state_dict(twin.state_dict())
    totals = [_discriminator(each, real, fake) for each in (twin, fresh)]
    restored = [torch.equal(buffer, state[name]) for name, buffer in fresh.named_buffers()]
    expected = "its state_dict to hold its state"
    require(all(restored) and torch.equal(*totals), objective, expected, f"a loss of {totals[1]:g}, not {totals[0]:g}")
