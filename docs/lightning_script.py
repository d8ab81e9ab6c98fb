"""A GAN in a Lightning script of one's own: any networks, any loader, none of the configurations.

python docs/lightning_script.py
"""

from functools import partial

import torch
from pytorch_lightning import Trainer
from sklearn.datasets import make_moons
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from gan_lightning import GAN, CriticUpdates
from gan_lightning.losses import GradientPenalty, Wasserstein


def perceptron(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, outputs))


def main(iterations: int = 1000) -> Tensor:
    points = torch.from_numpy(make_moons(10_000, noise=0.05, random_state=0)[0]).float()
    adam = partial(Adam, lr=1e-3, betas=(0.5, 0.9))
    gan = GAN(
        generator=perceptron(2, 2),
        discriminator=perceptron(2, 1),
        objective=Wasserstein(),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        regularizers={"gradient_penalty": GradientPenalty(0.1)},  # the weight of the paper's code for points
        critic_updates=CriticUpdates(5),
    )
    loader = DataLoader(TensorDataset(points), batch_size=256, shuffle=True, drop_last=True)
    Trainer(max_steps=iterations, accelerator="cpu", logger=False, enable_checkpointing=False).fit(gan, loader)
    samples: Tensor = gan(64)
    return samples


if __name__ == "__main__":
    print(main()[:5])
