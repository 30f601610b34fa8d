"""The usual FID: refused in one line where it cannot be had; the path to it, with a network in place of Inception."""

import hashlib
import sys
import types

import numpy as np
import pytest
import torch

from gendata.errors import ParamsError
from gendata.evaluate import inception


class Extractor(torch.nn.Module):
    """As torch-fidelity's: bytes (n, 3, H, W) to a tuple of features."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None):
        super().__init__()
        assert (features_list, feature_extractor_weights_path[-4:]) == (["2048"], ".pth")

    def forward(self, x):
        assert (x.dtype, x.shape[1]) == (torch.uint8, 3)
        return (x.float().mean((2, 3)).repeat(1, 683)[:, :2048],)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that is taken for the weights, and a package that is taken for torch-fidelity."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    package = types.ModuleType("torch_fidelity")
    package.__spec__ = types.SimpleNamespace(name="torch_fidelity")
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    monkeypatch.setattr(inception, "DIGEST", hashlib.sha256(b"weights").hexdigest()[:8])
    return str(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_the_network_batch_by_batch(weights, channels):
    images = np.random.default_rng(0).integers(0, 256, (70, channels, 8, 8), dtype=np.uint8)
    found, few = inception.embed(weights, images, images[:2])
    assert found.shape == (70, 2048)
    expected = images.astype(np.float32).mean((2, 3)).repeat(3 // channels, axis=1)
    assert np.allclose(found[:, :3], expected, rtol=1e-6)
    assert np.array_equal(few, found[:2])


def test_other_weights_are_not_opened(weights, tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"any code")
    with pytest.raises(ParamsError, match="not the weights of FID: sha256"):
        inception.embed(weights, np.zeros((1, 1, 8, 8), np.uint8))


def test_weights_that_are_not_there_are_not_downloaded(weights, tmp_path):
    with pytest.raises(ParamsError, match=r"no\.pth: not found; nothing is downloaded"):
        inception.check(str(tmp_path / "no.pth"))


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "PACKAGE", "no_such_package_of_inception")
    with pytest.raises(ParamsError, match=r"evaluate\.inception: needs the package torch-fidelity: pip install"):
        inception.check(str(tmp_path))
