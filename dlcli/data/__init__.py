"""Data sets, built in, downloaded, generated or the user's own, and augmentations; importing it registers them all."""

from dlcli.data import augment, csv_data, digits, idx_data, mnist, npy_data, npz_data, synthetic  # noqa: F401
