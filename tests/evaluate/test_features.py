import gzip

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from gendata.evaluate.features import FEATURES, Classifier, embed, fit_classifier, predict
from gendata.evaluate.fidelity import frechet_distance


def halves(n, shape=(1, 12, 12), seed=0):
    """Noise that is brighter in the upper half (0) or in the lower (1)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    pixels = generator.integers(0, 160, (n, *shape), dtype=np.uint8)
    middle = shape[1] // 2
    for image, label in zip(pixels, labels, strict=True):
        image[:, middle:] += np.uint8(60 * label)
        image[:, :middle] += np.uint8(60 * (1 - label))
    return pixels, labels


def test_two_classes_that_are_easily_told_apart():
    classifier = fit_classifier(*halves(300), classes=2, seed=0, steps=60)
    pixels, labels = halves(200, seed=1)
    assert (predict(classifier, pixels) == labels).mean() > 0.95


def test_handwritten_digits(eval_data):
    def read(name, header):
        data = gzip.decompress((eval_data / "img_mnist" / f"{name}-ubyte.gz").read_bytes())
        return np.frombuffer(data, np.uint8, offset=header)

    train = read("train-images-idx3", 16).reshape(-1, 1, 28, 28)[:4500]
    classifier = fit_classifier(train, read("train-labels-idx1", 8)[:4500].astype(np.int64), 10, seed=0, steps=200)
    found = predict(classifier, read("test3k-images-idx3", 16).reshape(-1, 1, 28, 28))
    assert (found == read("test3k-labels-idx1", 8)).mean() >= 0.95


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    pixels, labels = halves(100)
    first, second, other = (fit_classifier(pixels, labels, 2, seed, steps=5).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_the_number_of_threads_plays_no_role():
    pixels, labels = halves(100)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        classifier = fit_classifier(pixels, labels, 2, seed=0, steps=5)
        found.append(embed(classifier, pixels))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert (found[0] == found[1]).all()


def test_the_random_state_of_torch_is_neither_used_nor_changed():
    pixels, labels = halves(40)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit_classifier(pixels, labels, 2, seed=0, steps=2).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = fit_classifier(pixels, labels, 2, seed=0, steps=2).state_dict()
    assert torch.equal(first["head.weight"], second["head.weight"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (3, 10, 33)])
@pytest.mark.parametrize(("n", "classes"), [(1, 1), (5, 1), (65, 12)])
def test_any_size_any_number_of_images_and_classes(shape, n, classes):
    pixels = np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)
    classifier = fit_classifier(pixels, np.arange(n) % classes, classes, seed=0, steps=2)
    features = embed(classifier, pixels)
    assert (features.shape, features.dtype) == ((n, FEATURES), np.float32)
    assert np.isfinite(features).all()
    labels = predict(classifier, pixels)
    assert (labels.shape, labels.dtype) == ((n,), np.int64)
    assert set(labels) <= set(range(classes))


def test_features_of_one_class_still_tell_images_apart():
    pixels, labels = halves(400)
    classifier = fit_classifier(pixels, np.zeros(400, np.int64), classes=1, seed=0, steps=20)
    features = embed(classifier, pixels)
    upper, lower = features[labels == 0], features[labels == 1]
    assert frechet_distance(upper, lower) > 3 * frechet_distance(upper[::2], upper[1::2])


def test_features_do_not_depend_on_the_batch():
    pixels, labels = halves(600)
    classifier = fit_classifier(pixels, labels, 2, seed=0, steps=5)
    assert embed(classifier, pixels)[500:503] == pytest.approx(embed(classifier, pixels[500:503]), abs=1e-5)
    assert embed(classifier, pixels[:0]).shape == (0, FEATURES)
    assert predict(classifier, pixels[:0]).shape == (0,)


def test_pixels_may_be_a_mapped_file(tmp_path):
    pixels, labels = halves(100)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    classifier = fit_classifier(mapped, labels, 2, seed=0, steps=5)
    assert (embed(classifier, mapped) == embed(fit_classifier(pixels, labels, 2, seed=0, steps=5), pixels)).all()


def test_stored_weights_give_the_same_features():
    pixels, labels = halves(100)
    classifier = fit_classifier(pixels, labels, 2, seed=0, steps=5)
    loaded = Classifier(channels=1, classes=2)
    loaded.load_state_dict(load(save(classifier.state_dict())))
    assert (embed(loaded, pixels) == embed(classifier, pixels)).all()


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="at least 1 image"):
        fit_classifier(np.zeros((0, 1, 8, 8), np.uint8), np.zeros(0, np.int64), 1, seed=0)
