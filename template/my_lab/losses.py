"""Objectives: what both networks minimise, as functions of the discriminator's logits."""

from dataclasses import dataclass

from gan_lightning.losses import Logits, ObjectiveDefaults, Terms


@dataclass(frozen=True)
class Pearson(ObjectiveDefaults):
    """f-GAN (Nowozin et al. 2016, arXiv:1606.00709) with the Pearson chi-squared divergence of its table 2.

    With V the logit and f*(v) = v^2 / 4 + v, the discriminator minimises E f*(V(G(z))) - E V(x). The generator
    minimises -E V(G(z)), as section 3.2 advises; if `saturating`, -E f*(V(G(z))).
    """

    saturating: bool = False

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        return {"adversarial": conjugate(fake_logits).mean() - real_logits.mean()}

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Terms:
        return {"adversarial": -(conjugate(fake_logits) if self.saturating else fake_logits).mean()}

    def diagnostics(self, real_logits: Logits, fake_logits: Logits) -> Terms:
        """A lower bound of the divergence E (p / q - 1)^2 over generated samples, of densities p real and q."""
        return {"chi_squared": real_logits.mean() - conjugate(fake_logits).mean()}

    def boundary(self) -> float:
        """The logit 2 (p / q - 1) of the best discriminator where a sample is as likely real as not: f'(1)."""
        return 0.0


def conjugate(logits: Logits) -> Logits:
    """f* of the Pearson divergence, whose generator function is f(u) = (u - 1)^2."""
    return logits.square() / 4 + logits
