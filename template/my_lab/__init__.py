"""Parts of GANs for gan_lightning: a loss, two networks, a data set and a metric."""
