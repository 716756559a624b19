"""Data sets: built in, downloaded, generated, or the user's own. Importing this room registers all of them."""

from dlcli.data import csv_data, digits, idx_data, mnist, npz_data, synthetic  # noqa: F401
