"""A faster way to multiply matrices is taken where it is as exact, for the iterations alone."""

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.training import matmul

SIZE = (16, 24, 8)
LARGE = (64, 512, 256)


def exact(left: Tensor, right: Tensor) -> Tensor:
    return (left.double() @ right.double()).float()


def test_a_setting_holds_in_its_block():
    assert torch.get_float32_matmul_precision() == "highest"
    with matmul.multiplying("medium"):
        assert torch.get_float32_matmul_precision() == "medium"
        with matmul.multiplying(None):
            assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(ZeroDivisionError), matmul.multiplying("medium"):
        1 / 0  # noqa: B018
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("rounded", [None, (16, 8), (8, 24), (16, 24)])
def test_products_that_round_are_found(monkeypatch, rounded):
    """Those of the layer, of its weights' gradient and of its inputs' gradient, each by itself."""

    def product(left: Tensor, right: Tensor) -> Tensor:
        found = exact(left, right)
        rounds = torch.get_float32_matmul_precision() == "medium" and found.shape == rounded
        return found.bfloat16().float() if rounds else found

    monkeypatch.setattr(matmul, "product", product)
    assert matmul.is_exact.__wrapped__(SIZE) == (rounded is None)


def test_factors_that_are_rounded_are_found(monkeypatch):
    def product(left: Tensor, right: Tensor) -> Tensor:
        if torch.get_float32_matmul_precision() == "medium":
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return exact(left, right)

    monkeypatch.setattr(matmul, "product", product)
    assert not matmul.is_exact.__wrapped__(SIZE)


@pytest.mark.parametrize(
    ("told", "found"), [("vendor_id\t: AuthenticAMD\n", True), ("vendor_id\t: GenuineIntel\n", False), (None, False)]
)
def test_the_maker_of_a_processor_is_read(monkeypatch, tmp_path, told, found):
    file = tmp_path / "cpuinfo"
    if told is not None:
        file.write_text(told)
    monkeypatch.setattr(matmul, "PROCESSORS", file)
    assert matmul.is_amd.__wrapped__() == found


@pytest.mark.parametrize(
    ("size", "exact", "amd", "setting"),
    [
        (LARGE, True, True, "medium"),
        (LARGE, False, True, "highest"),
        (LARGE, True, False, "highest"),
        (SIZE, True, True, "highest"),
        (None, True, True, "highest"),
    ],
)
def test_medium_is_for_large_products_that_it_makes_exactly_and_fast(monkeypatch, size, exact, amd, setting):
    monkeypatch.setattr(matmul, "is_exact", lambda size: exact)
    monkeypatch.setattr(matmul, "is_amd", lambda: amd)
    assert matmul.fastest_exact(size) == setting


def test_what_is_tried_is_of_the_largest_linear_layer():
    small, large = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Linear(5, 7)
    assert matmul.largest_product(32, small, large) == (32, 5, 7)
    assert matmul.largest_product(32, small) == (32, 3, 4)
    assert matmul.largest_product(32, nn.Linear(9000, 3000, device="meta")) == (32, 2048, 2048)
    assert matmul.largest_product(32, nn.Conv2d(3, 3, 3)) is None


def test_what_torch_does_here_can_be_tried():
    assert matmul.fastest_exact(LARGE) in ("highest", "medium")
    assert matmul.error("highest", *matmul.factors(LARGE)) < 1e-4
