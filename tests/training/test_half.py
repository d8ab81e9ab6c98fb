"""speed=fast: the same game in bfloat16 for every recipe, and float32 weights whose copies nothing else knows of."""

import copy
import logging
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from small import small
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_lightning.config.compose import compose
from gan_lightning.config.containers import without_hydra
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError
from gan_lightning.losses.objectives import Vanilla
from gan_lightning.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.runs import speeding
from gan_lightning.runs.parts import build_parts
from gan_lightning.training.gan import GAN
from gan_lightning.training.half import Twin, Twins, rounded_weights, twins_of

RECIPES = [f"loss={file.stem}" for file in sorted((CONF / "loss").glob("*.yaml"))]
OTHERS = ["regularizer=[orthogonal]", "regularizer=[consistency]", "regularizer=[diffaugment,r1]", "network=dcgan"]
UNLOOKED = ("health.every=null", "samples.every=100")
STEPS = 2
# bfloat16 keeps 8 bits: relative to the gradient's length, at each step, and to the largest term of a loss. Adam's
# first step is the gradient's sign, which rounding turns where there is next to none.
GRADIENT, LOSS = (0.1, 0.25), 0.02


def model_of(chosen: str) -> GAN:
    return build_parts(without_hydra(compose(Sources("train"), small(chosen), TRAINING))).model


def two_steps(model: GAN, fast: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The gradients of each update, flattened, and the losses."""
    model.rounds = fast
    model.twins = Twins(model.generator, model.discriminator, model.heads) if fast else None
    optimizers = model.configure_optimizers()
    gradients = []
    source = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        torch.manual_seed(step)
        real = torch.rand(16, 1, 8, 8, generator=source) * 2 - 1
        labels = torch.arange(16) % model.generator.classes if model.generator.classes else None
        regularizers = model.timetable.at(model.clock(step, 16, 100)).regularizers
        with model.as_fast():
            mean = model.discriminator_step(real, optimizers[1], labels, number=step, regularizers=regularizers)
            model.generator_step(real, optimizers[0], labels, regularizers=regularizers, real_mean=mean)
        for network in (model.discriminator, model.generator):
            found = [p.grad for p in network.parameters() if p.grad is not None]
            assert {g.dtype for g in found} == {torch.float32}
            gradients.append(torch.cat([g.flatten() for g in found]))
    losses = [total / model.means._counts[names] for names, total in model.means._sums.items()]
    return gradients, losses


@pytest.mark.parametrize("chosen", [*RECIPES, *OTHERS])
def test_two_steps_are_those_of_float32(chosen):
    torch.manual_seed(0)
    exact = model_of(chosen)
    fast = copy.deepcopy(exact)
    assert twins_of(fast.generator, fast.discriminator, fast.heads, spares_hooks=True) is not None
    wanted, losses = two_steps(exact, False)
    found, others = two_steps(fast, True)
    for place, (mine, own) in enumerate(zip(found, wanted, strict=True)):
        assert not torch.equal(mine, own)
        assert (mine - own).norm() < GRADIENT[place // 2] * own.norm() + 1e-4
    for mine, own in zip(others, losses, strict=True):
        assert (mine - own).abs().max() < LOSS * max(1.0, own.abs().max())
    assert all(not parameter.is_floating_point() or parameter.dtype == torch.float32 for parameter in fast.parameters())


def test_a_run_goes_on_exactly(tiny, resume, same):
    given = ("loss=wgan_gp", "network=dcgan", "loss.n_critic=2", "speed=fast", "speed.bfloat16=true", *UNLOOKED)
    whole = tiny("whole", *given, "trainer.max_steps=4")
    part = tiny("part", *given, "trainer.max_steps=2")
    assert part.results()["bfloat16"] is part.checkpoint()["bfloat16"] is True
    resume(part.path, "trainer.max_steps=4")
    for key in ("state_dict", "optimizer_states", "running_means"):
        same(part.checkpoint()[key], whole.checkpoint()[key])


def test_a_twin_shares_what_it_does_not_round():
    network = DCGANDiscriminator((3, 16, 16), width=4, norm="batch")
    twin = Twin(network)
    own, copies = dict(network.named_parameters()), dict(twin.module.named_parameters())
    rounded = {name for name in own if copies[name].dtype == torch.bfloat16}
    assert rounded == {"layers.0.weight", "layers.0.bias", "layers.2.weight"}
    assert all(copies[name] is own[name] for name in own.keys() - rounded)  # normalisation, and the head
    assert copies["layers.2.weight"].is_contiguous(memory_format=torch.channels_last)
    buffers = dict(twin.module.named_buffers())
    assert all(buffers[name] is buffer for name, buffer in network.named_buffers())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = twin.module(torch.rand(4, 3, 16, 16))
    assert logits.dtype == torch.float32
    assert network.layers[3].num_batches_tracked == 1


def test_spectral_normalisation_stays_float32():
    network = nn.Sequential(spectral_norm(nn.Linear(3, 3)), nn.Linear(3, 1))
    assert {id(weight) for weight in rounded_weights(network)} == {id(weight) for weight in network[1].parameters()}


def test_a_weight_in_two_layers_has_one_copy():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    twin = Twin(nn.Sequential(first, second))
    assert len(twin.copies) == 3
    assert twin.module[0].weight is twin.module[1].weight


def test_gradients_are_handed_over_and_added():
    network = nn.Linear(2, 1, bias=False)
    twin = Twin(network)
    twin.module.weight.grad = torch.full((1, 2), 3.0, dtype=torch.bfloat16)
    twin.hand_over()
    assert network.weight.grad.tolist() == [[3.0, 3.0]]
    assert twin.module.weight.grad is None
    network.weight.grad = torch.full((1, 2), 3.0)
    twin.module.weight.grad = torch.full((1, 2), 4.0, dtype=torch.bfloat16)
    twin.hand_over()
    assert network.weight.grad.tolist() == [[7.0, 7.0]]  # beside that of a penalty on the weights
    with torch.no_grad():
        network.weight.fill_(1 + 2**-7)
    twin.refresh()
    assert torch.equal(twin.module.weight.float(), network.weight)


def tiny_gan() -> GAN:
    sgd = partial(torch.optim.SGD, lr=0.5)
    torch.manual_seed(0)
    generator = MLPGenerator(3, (2,), hidden_dim=6, blocks=1, norm="none")
    return GAN(generator, MLPDiscriminator((2,), hidden_dim=6, blocks=1), Vanilla(), sgd, sgd)


def test_autocast_never_computes_with_weights_of_an_earlier_step():
    """One block around all updates, as a fast iteration has it; Lightning's own bf16-mixed keeps no casts."""
    together, apart = tiny_gan(), tiny_gan()
    real = torch.rand(8, 2)
    optimizer = together.configure_optimizers()[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for step in range(3):
            torch.manual_seed(step)
            together.discriminator_step(real, optimizer)
    optimizer = apart.configure_optimizers()[1]
    for step in range(3):
        torch.manual_seed(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            apart.discriminator_step(real, optimizer)
    for mine, own in zip(together.discriminator.parameters(), apart.discriminator.parameters(), strict=True):
        assert torch.equal(mine, own)


class OwnLayer(nn.Module):
    """A module of somebody's own, which may do with its weights what it likes."""


def hooked() -> nn.Module:
    layer = nn.Identity()
    layer.register_forward_pre_hook(lambda module, inputs: None)  # as torch.nn.utils.weight_norm does
    return layer


@pytest.mark.parametrize(
    ("layer", "spares_hooks", "reason"),
    [
        (OwnLayer(), True, "the generator's OwnLayer may not bear weights in bfloat16"),
        (hooked(), True, "the generator's Identity has hooks"),
        (nn.Linear(2, 2).double(), True, "the generator's weights are not float32"),
        (nn.Identity(), False, "several devices"),
    ],
)
def test_what_can_not_be_copied_computes_by_autocast_and_says_so(caplog, layer, spares_hooks, reason):
    generator = DCGANGenerator(3, (1, 8, 8), width=2)
    generator.further = layer
    with caplog.at_level(logging.INFO):
        assert twins_of(generator, MLPDiscriminator((1, 8, 8)), {}, spares_hooks) is None
    assert reason in caplog.text
    assert "autocast" in caplog.text


def test_a_hook_at_a_weight_is_heard():
    generator = MLPGenerator(3, (2,), hidden_dim=6, blocks=1)
    next(generator.parameters()).register_hook(lambda gradient: gradient)
    assert twins_of(generator, MLPDiscriminator((2,)), {}, True) is None


def test_a_run_with_hooks_trains_by_autocast(tiny, watch, caplog):
    watch(type("Hooked", (Callback,), {"on_after_backward": lambda self, *arguments: None})())
    with caplog.at_level(logging.WARNING):
        run = tiny("run", "loss=wgan_clip", "speed=fast", "speed.bfloat16=true", "trainer.max_steps=1")
    assert run.run.status == "finished"
    assert "by autocast" in caplog.text


def test_clipped_weights_are_what_is_computed_with():
    model = model_of("loss=wgan_clip")
    two_steps(model, True)
    assert model.twins is not None
    model.playing = model.twins
    for projection in model.regularizers.values():
        projection.project(model.discriminator)
    model.renew("discriminator")
    twin = model.twins.by_network["discriminator"]
    assert all(torch.equal(c, w.to(torch.bfloat16)) for c, w in zip(twin.copies, twin.weights, strict=True))
    assert max(c.abs().max() for c in twin.copies) <= 0.0101


def test_what_is_done_to_a_network_between_iterations_is_done_to_its_twin():
    model = tiny_gan()
    model.rounds, model.twins = True, Twins(model.generator, model.discriminator, {})
    twin = model.twins.by_network["generator"]
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.fill_(0.5)
    model.generator.eval()
    model.generator.requires_grad_(False)
    with model.as_fast():
        assert all(copied.eq(0.5).all() for copied in twin.copies)
        assert not any(part.training for part in twin.module.modules())
        assert not any(weight.requires_grad for weight in twin.module.parameters())


def hastened(bfloat16: bool | str, precision: str = "32-true", checkpoint: dict | None = None) -> bool:
    """Whether a model's networks compute in bfloat16 then."""
    speed = {"name": "fast", "bfloat16": bfloat16, "compile": False}
    config = OmegaConf.create({"speed": speed, "trainer": {"precision": precision}})
    model = tiny_gan()
    speeding.hasten(
        config,
        SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu"))),
        model,
        speeding.RunSize(8, 100),
        checkpoint,
    )
    return model.rounds


@pytest.mark.parametrize("natively", [True, False])
def test_a_machine_without_bfloat16_stays_in_float32_and_says_so(monkeypatch, caplog, natively):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: natively)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert hastened("auto") is natively
    assert ("speed=fast leaves networks in float32" in caplog.text) is not natively
    assert hastened(True)
    assert not hastened(False)


@pytest.mark.parametrize("natively", [True, False])
def test_a_run_goes_on_as_it_began_on_any_machine(monkeypatch, natively):
    monkeypatch.setattr(speeding, "has_bfloat16", lambda device: natively)
    assert hastened("auto", checkpoint={"bfloat16": True})
    assert not hastened("auto", checkpoint={"bfloat16": False})
    assert hastened(True, checkpoint={"bfloat16": False})  # as is asked for


def test_a_run_of_another_speed_is_another_run(tiny):
    run = tiny("run", "trainer.max_steps=1", *UNLOOKED)
    assert run.results()["bfloat16"] is False
    with pytest.raises(UserError, match="speed"):
        tiny("run", "speed=fast", "speed.bfloat16=true", "trainer.max_steps=2", *UNLOOKED)


def test_another_half_precision_is_refused():
    with pytest.raises(UserError, match=r"trainer\.precision is 16-mixed.*speed\.bfloat16=false"):
        hastened("auto", "16-mixed")
