"""What processes that train together exchange: means, rows, random numbers, digests of weights, decisions.

Run as a script, `python test_ranks.py FOLDER RANK`, this file is one of two such processes.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn

from gan_lightning import ranks
from gan_lightning.losses.objectives import BEGAN, Vanilla
from gan_lightning.losses.regularizers import GradientPenalty
from gan_lightning.networks.layers import uses_batch_statistics
from gan_lightning.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_lightning.training.gan import GAN
from gan_lightning.training.ranks import (
    Agreement,
    digest,
    of_each_rank,
    refusals_of_strategy,
    refuse_strategy,
    require_equal_weights,
)

CPU = torch.device("cpu")
ROWS = torch.linspace(-1, 2, 24, dtype=torch.float64).view(8, 3).square()  # of both processes
SECONDS = (0.004, 0.019)  # of each process, an iteration


def quantities(rows: Tensor) -> dict[str, Tensor]:
    """What the functions of gan_lightning.ranks make of rows (N, 3), with first and second derivatives of a penalty."""
    rows = rows.clone().requires_grad_()
    mean, everything = ranks.mean_of_ranks(rows.mean(0)), ranks.rows_of_ranks(rows)
    products = everything @ everything.T
    # A rank's own samples against what is common, and a loss of pairs, which every rank computes.
    loss = (rows - mean).pow(4).mean() + products.square().mean()
    (slope,) = torch.autograd.grad(loss, rows, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.pow(3).sum(), rows)
    return {
        "mean": mean.detach(),
        "rows": everything.detach(),
        "std": ranks.std_of_ranks(rows.detach()),
        "slope": slope.detach(),
        "curvature": curvature,
        "normal": ranks.drawn_like(rows.detach(), Tensor.normal_),
        "drawn": ranks.drawn(lambda count, source: torch.rand(count, 2, generator=source), len(rows)),
        "own": torch.rand(3),
    }


def gan(objective: Any = None, norm: Any = "none") -> GAN:
    torch.manual_seed(0)
    networks = MLPGenerator(3, (1, 4, 4), 4, 1, norm=norm), MLPDiscriminator((1, 4, 4), 4, 1)
    model = GAN(*networks, Vanilla(), torch.optim.Adam, torch.optim.Adam)  # type: ignore[arg-type]  # a class is a factory
    model.objective = objective or model.objective
    return model


def complaint(model: nn.Module) -> str:
    try:
        require_equal_weights(model, 7)
    except RuntimeError as error:
        return str(error)
    return ""


def altered(rank: int, name: str, objective: Any = None) -> str:
    """What is said where the second process has the last bit of a tensor's first number different."""
    model = gan(objective)
    tensor = {**dict(model.named_parameters()), **dict(model.named_buffers())}[name]
    if rank == 1:
        tensor.data.flatten()[0].copy_(torch.nextafter(tensor.data.flatten()[0], torch.tensor(9.0)))
    return complaint(model)


def agreements(rank: int, iterations: int = 400) -> list[tuple[int, float]]:
    """The iterations of agreements, and what is agreed on: each rank's value is iteration + rank."""
    passed = [0.0]
    agreement = Agreement(now=lambda: passed[0])
    found = []
    for iteration in range(1, iterations + 1):
        passed[0] += SECONDS[rank]
        if agreement.due(iteration):
            found.append((iteration, agreement.maximum(iteration + rank, iteration)))
    return found


def main(folder: Path, rank: int) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    own = ROWS.chunk(2)[rank]
    with ranks.together(CPU, 3, 5):
        together = quantities(own)
    began = BEGAN()
    result = {
        "together": together,
        "apart": quantities(own),
        "equal": complaint(gan(BEGAN())),
        "altered": {name: altered(rank, name) for name in ("discriminator.head.weight", "ema_generator.layers.0.bias")},
        "k": altered(rank, "objective.k", began),
        "agreements": agreements(rank),
        "each": of_each_rank([rank]),
    }
    torch.save(result, folder / f"{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()  # whose threads otherwise may end the process in a way of their own


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `main` has found in each of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    tests = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    commands = [[sys.executable, str(Path(__file__).resolve()), str(folder), str(rank)] for rank in (0, 1)]
    processes = [subprocess.Popen(command, env=environment, cwd=folder) for command in commands]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_what_is_taken_of_a_minibatch_is_that_of_all_its_shares(two_ranks):
    with ranks.together(CPU, 3, 5):
        alone = quantities(ROWS)
    shares = [found["together"] for found in two_ranks]
    for name in ("mean", "rows", "std"):
        for share in shares:
            torch.testing.assert_close(share[name], alone[name], rtol=1e-13, atol=1e-13)
    assert torch.equal(alone["std"], ROWS.std(correction=0))
    for name in ("normal", "drawn"):
        assert torch.equal(torch.cat([share[name] for share in shares]), alone[name])


def test_means_over_ranks_of_gradients_are_those_of_the_whole(two_ranks):
    """As DDP takes them: of the loss of a rank's share, each sample's gradient is twice its own in the whole."""
    with ranks.together(CPU, 3, 5):
        alone = quantities(ROWS)
    slopes = torch.cat([found["together"]["slope"] for found in two_ranks]) / 2
    torch.testing.assert_close(slopes, alone["slope"], rtol=1e-12, atol=1e-12)
    # Of the slopes' cubes, which are eightfold.
    curvatures = torch.cat([found["together"]["curvature"] for found in two_ranks]) / 8
    torch.testing.assert_close(curvatures, alone["curvature"], rtol=1e-12, atol=1e-12)


def test_what_else_is_drawn_is_each_ranks_own(two_ranks):
    first, second = (found["together"] for found in two_ranks)
    assert not torch.equal(first["own"], second["own"])
    assert not torch.equal(first["own"], first["drawn"].flatten()[:3])


def test_elsewhere_a_process_is_by_itself(two_ranks):
    """One of them may measure something while the others don't."""
    for found, own in zip(two_ranks, ROWS.chunk(2), strict=True):
        assert torch.equal(found["apart"]["mean"], own.mean(0))
        assert torch.equal(found["apart"]["rows"], own)
        assert torch.equal(found["apart"]["std"], own.std(correction=0))


def test_layout_of_what_is_drawn_like_samples():
    samples = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    torch.manual_seed(1)
    noise = ranks.drawn_like(samples, Tensor.normal_)
    torch.manual_seed(1)
    assert torch.equal(noise, torch.randn_like(samples))
    assert noise.stride() == samples.stride()


def test_equal_weights_pass_and_the_first_that_differs_is_named_in_all_processes(two_ranks):
    assert [found["equal"] for found in two_ranks] == ["", ""]
    for name in two_ranks[0]["altered"]:
        for found in two_ranks:
            assert found["altered"][name].startswith(f"{name} is not the same in all processes at iteration 7: ")
    assert all(found["k"].startswith("objective.k is not the same") for found in two_ranks)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_a_digest_tells_a_single_number(dtype):
    values = torch.tensor([1, 0, 1, 1]).to(dtype)
    other = values.clone()
    other[2] = 0
    assert digest(values) == digest(values.clone())
    assert digest(values) != digest(other)
    assert digest(torch.tensor(float("nan"))) == digest(torch.tensor(float("nan")))


def test_agreements_come_about_every_second_of_the_slowest(two_ranks):
    first, second = (found["agreements"] for found in two_ranks)
    assert first == second
    assert all(value == iteration + 1 for iteration, value in first)
    # By 19 ms an iteration: first at each, then at most ten times as far as before, then 52 apart, which is a second.
    assert [iteration for iteration, _ in first] == [1, 2, 12, *range(64, 401, 52)]


def test_a_single_process_needs_no_agreement():
    agreement = Agreement()
    assert all(agreement.due(iteration) for iteration in range(5))
    assert agreement.maximum(3.0, 4) == 3.0


def test_agreements_are_never_more_than_one_an_iteration():
    agreement = Agreement(seconds=1.0)
    agreement.plan(1, 0.0)
    agreement.plan(2, 30.0)
    assert (agreement.interval, agreement.next) == (1, 3)
    agreement.plan(3, 0.0)
    assert agreement.interval == 10


def test_what_each_rank_has_by_rank(two_ranks):
    assert [found["each"] for found in two_ranks] == [[[0], [1]]] * 2
    assert of_each_rank("alone") == ["alone"]


FOUND = "find_unused_parameters"


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (lambda: SingleDeviceStrategy(), None),
        (lambda: DDPStrategy(find_unused_parameters=True), None),
        (lambda: DDPStrategy(find_unused_parameters=True, static_graph=True), "static_graph=True"),
        (lambda: DDPStrategy(), "without find_unused_parameters"),
        (lambda: FSDPStrategy(), "is FSDPStrategy, "),
    ],
)
def test_strategies_that_would_train_wrongly_are_refused(strategy: Callable[[], Any], words: str | None) -> None:
    model = gan()
    if words is None:
        refuse_strategy(strategy(), model)
        return
    (reason,) = refusals_of_strategy(strategy(), model)
    assert words in reason
    assert reason.endswith("; use trainer.strategy=ddp_find_unused_parameters_true")
    model.trainer = type("Stub", (), {"strategy": strategy()})()  # type: ignore[assignment]  # all that is asked
    with pytest.raises(ValueError, match=words):
        model.setup("fit")


def synchronising() -> DDPStrategy:
    """As Trainer(sync_batchnorm=True) makes it."""
    strategy = DDPStrategy(find_unused_parameters=True, parallel_devices=[CPU])
    strategy._layer_sync = TorchSyncBatchNorm()
    return strategy


def test_synchronised_batch_statistics_need_gpus():
    (reason,) = refusals_of_strategy(synchronising(), gan(norm="batch"))
    assert reason.startswith(
        "trainer.sync_batchnorm is true, but torch has batch statistics of all devices on GPUs alone"
    )
    assert list(refusals_of_strategy(synchronising(), gan())) == []


def test_synchronised_batch_statistics_reach_the_generator_and_its_average():
    model = gan(norm="batch")
    parameters = list(map(id, model.parameters()))
    TorchSyncBatchNorm().apply(model)
    for network in (model.generator, model.ema_generator):
        assert any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())
    assert uses_batch_statistics(model.generator)
    assert list(map(id, model.parameters())) == parameters


def test_a_penalty_of_each_samples_gradient_refuses_synchronised_batch_statistics():
    discriminator = nn.SyncBatchNorm.convert_sync_batchnorm(MLPDiscriminator((1, 4, 4), 4, 2, norm="batch"))
    generator = MLPGenerator(3, (1, 4, 4), 4, 1)
    with pytest.raises(
        ValueError, match="gradient_penalty penalises each sample's gradient, which a discriminator with"
    ):
        GAN(
            generator,
            discriminator,
            Vanilla(),
            torch.optim.Adam,  # type: ignore[arg-type]  # a class is a factory
            torch.optim.Adam,  # type: ignore[arg-type]  # a class is a factory
            regularizers={"gradient_penalty": GradientPenalty()},
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
