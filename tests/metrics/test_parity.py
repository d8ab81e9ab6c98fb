"""Each metric against independent implementations of it, on one case."""

import numpy as np
import ot
import pytest
import scipy.linalg
import scipy.stats
import torch
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_mmd

from gan_lightning.metrics.classes import class_kl, class_shares
from gan_lightning.metrics.frechet import frechet_distance, moments
from gan_lightning.metrics.kernel import KernelDistance, kernel_distances, random_subsets
from gan_lightning.metrics.manifold import density_coverage, precision_recall
from gan_lightning.metrics.memorisation import copying
from gan_lightning.metrics.modes import high_quality_share, reverse_kl
from gan_lightning.metrics.neighbours import nearest
from gan_lightning.metrics.observed import Observed
from gan_lightning.metrics.score import ClassifierScore
from gan_lightning.metrics.wasserstein import random_directions, sliced_wasserstein, w2

DIMENSIONS, CLASSES = 12, 5


def features(count, seed, shift=0.0, scale=1.0):
    """Correlated features, like a network's: not negative, and one of them always 0."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIMENSIONS, DIMENSIONS, generator=torch.Generator().manual_seed(99)) / 2
    drawn = (scale * torch.randn(count, DIMENSIONS, generator=generator) @ mixing + shift).relu()
    drawn[:, 3] = 0
    return drawn


REAL, FAKE, UNSEEN = features(400, 1), features(300, 2, shift=0.2, scale=0.9), features(200, 3)
LOGITS = 3 * torch.randn(300, CLASSES, generator=torch.Generator().manual_seed(4))
CENTRES = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]])
POINTS = CENTRES[(torch.arange(300) % 7).clamp(max=3)] + 0.4 * torch.randn(
    300, 2, generator=torch.Generator().manual_seed(5)
)


def close(ours, reference):
    return ours == pytest.approx(reference, rel=1e-5, abs=1e-9)


def observed(features, logits=None):
    return Observed(samples=features, features=features, logits=logits)


class Given(nn.Module):
    """What torchmetrics asks of a network of features: their number, and a forward pass; these are given."""

    num_features = DIMENSIONS

    def forward(self, features):
        return features


class TestFrechetDistance:
    ours = frechet_distance(REAL, FAKE)

    @pytest.mark.filterwarnings("ignore:Matrix is singular")  # one feature is constant
    def test_scipy(self):
        mean, covariance = (
            REAL.double().mean(0) - FAKE.double().mean(0),
            [np.cov(each.numpy().T) for each in (REAL, FAKE)],
        )
        root = scipy.linalg.sqrtm(covariance[0] @ covariance[1])
        reference = float(mean @ mean + np.trace(covariance[0] + covariance[1] - 2 * root.real))
        assert close(self.ours, reference)

    def test_torch_fidelity(self):
        statistics = [fid_features_to_statistics(each.double()) for each in (REAL, FAKE)]
        assert close(self.ours, fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])

    def test_torchmetrics(self):
        (mean, covariance), (other_mean, other_covariance) = moments(REAL), moments(FAKE)
        assert close(self.ours, _compute_fid(mean, covariance, other_mean, other_covariance).item())

    def test_pot(self):
        (mean, covariance), (other_mean, other_covariance) = moments(REAL), moments(FAKE)
        reference = ot.gaussian.bures_wasserstein_distance(mean, other_mean, covariance, other_covariance)
        assert close(self.ours, float(reference) ** 2)


class TestKernelDistance:
    def test_torch_fidelity(self):
        """With subsets of all samples, the draw doesn't matter."""
        options = {"kid_subsets": 2, "kid_subset_size": 300, "rng_seed": 0, "verbose": False}
        reference = kid_features_to_metric(REAL[:300].double(), FAKE.double(), **options)
        ours = KernelDistance().measure(observed(REAL[:300]), observed(FAKE))
        assert close(ours["kernel_distance"], reference["kernel_inception_distance_mean"])
        assert close(ours["kernel_distance_std"], reference["kernel_inception_distance_std"])

    @pytest.mark.parametrize("size", [50, 120], ids=["a matrix each", "one matrix"])
    def test_torchmetrics_on_the_same_subsets(self, size):
        generator = torch.Generator().manual_seed(7)
        chosen = [random_subsets(len(each), size, 20, generator).bool() for each in (REAL, FAKE)]
        pairs = zip(*chosen, strict=True)
        reference = [poly_mmd(REAL[a].double(), FAKE[b].double()).item() for a, b in pairs]
        assert kernel_distances(REAL, FAKE, 20, size, seed=7).tolist() == pytest.approx(reference, rel=1e-9, abs=1e-12)


class TestClassifierScore:
    shuffled = LOGITS[torch.randperm(300, generator=torch.Generator().manual_seed(8))]

    @pytest.mark.parametrize("splits", [1, 7, 10])
    def test_torch_fidelity(self, splits):
        reference = isc_features_to_metric(self.shuffled, splits, shuffle=False)
        ours = ClassifierScore(splits).measure(observed(REAL), observed(FAKE, LOGITS), seed=8)
        assert close(ours["classifier_score"], reference["inception_score_mean"])
        assert close(ours["classifier_score_std"], reference["inception_score_std"])

    @pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save", "ignore:std")
    def test_torchmetrics(self):
        """In one part, where its shuffle doesn't matter."""
        metric = InceptionScore(Given(), splits=1)
        metric.update(LOGITS)
        ours = ClassifierScore(1).measure(observed(REAL), observed(FAKE, LOGITS))
        assert close(ours["classifier_score"], metric.compute()[0].item())


class TestManifolds:
    def test_prdc(self):
        reference = compute_prdc(REAL.double().numpy(), FAKE.double().numpy(), nearest_k=3)
        assert close(precision_recall(REAL, FAKE, 3), (reference["precision"], reference["recall"]))
        assert close(density_coverage(REAL, FAKE, 3), (reference["density"], reference["coverage"]))

    def test_torch_fidelity(self):
        options = {"prc_neighborhood": 3, "prc_batch_size": 100, "save_cpu_ram": True, "verbose": False}
        reference = prc_features_to_metric(FAKE.double(), REAL.double(), **options)
        assert close(precision_recall(REAL, FAKE, 3), (reference["precision"], reference["recall"]))


class TestNeighbours:
    def test_sklearn(self):
        distances, indices = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(REAL).kneighbors(FAKE)
        ours = nearest(FAKE, REAL, 4)
        assert torch.equal(ours[1], torch.from_numpy(indices))
        torch.testing.assert_close(ours[0], torch.from_numpy(distances).double(), rtol=1e-5, atol=1e-5)

    def test_memorisation(self):
        partly_copied = torch.cat([FAKE, REAL[:100]])
        of_unseen, of_fake = (cdist(each.numpy(), REAL.numpy()).min(1) for each in (UNSEEN, partly_copied))
        ratio, copied = copying(REAL, UNSEEN, partly_copied)
        assert close(ratio, np.median(of_fake) / np.median(of_unseen))
        assert close(copied, np.mean(of_fake <= np.percentile(of_unseen, 1)))


class TestTransport:
    @pytest.mark.parametrize("count", [400, 300, 299, 100, 1])
    def test_sliced_pot(self, count):
        lines = random_directions(DIMENSIONS, 64, seed=3).numpy()
        reference = ot.sliced_wasserstein_distance(
            REAL[:count].double().numpy(), FAKE.double().numpy(), projections=lines
        )
        assert close(sliced_wasserstein(REAL[:count], FAKE, 64, seed=3), float(reference))

    def test_w2_pot(self):
        others = features(300, 6)[:, :2]
        reference = ot.emd2([], [], ot.dist(POINTS.double().numpy(), others.double().numpy()))
        assert close(w2(POINTS, others), float(reference) ** 0.5)


class TestClasses:
    def test_scipy(self):
        shares = np.bincount(LOGITS.numpy().argmax(1), minlength=CLASSES) / len(LOGITS)
        real = torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64)
        assert close(class_shares(LOGITS).tolist(), shares.tolist())
        assert close(class_kl(class_shares(LOGITS), real), scipy.stats.entropy(shares, real.numpy()))


class TestModes:
    def test_scipy(self):
        distances = pairwise_distances(POINTS.numpy(), CENTRES.numpy())
        shares = np.bincount(distances.argmin(1), minlength=4) / len(POINTS)
        assert close(high_quality_share(POINTS, CENTRES, 0.3), float((distances.min(1) <= 0.9).mean()))
        assert close(reverse_kl(POINTS, CENTRES), scipy.stats.entropy(shares, np.full(4, 0.25)))
