"""Shared by all tests: no network, the evaluation data, a small project to run things in."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import settings
from sandbox import CORPUS, Sandbox, full_project, write_corpus

from gendata import compiled, template

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("LANCE_LOG", "error")
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: threads that wait for one another spin
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# seeded, so that `make test` means the same twice; `make soak` sets HYPOTHESIS_PROFILE=soak
settings.register_profile("default", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("soak", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

REPO = Path(__file__).parent.parent


def pytest_collection_modifyitems(items):
    """Files whose tests run whole pipelines come first, so that no worker is left alone with one at the end."""
    slow = ("test_models_pipeline", "test_pipeline", "test_kill", "test_wheel")
    items.sort(key=lambda item: slow.index(item.path.stem) if item.path.stem in slow else len(slow))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Connecting anywhere but to a local socket fails the test."""
    real = socket.socket.connect

    def connect(self, address):
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"network access to {address}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(scope="session")
def eval_data():
    """The folder of real evaluation data, or skip."""
    folder = Path(os.environ.get("GENDATA_EVAL_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no evaluation data at {folder} (set GENDATA_EVAL_DATA)")
    return folder


@pytest.fixture
def sandbox(tmp_path):
    """An empty project: no sources yet."""
    root = tmp_path / "project"
    template.create(root)
    box = Sandbox(root)
    box.sources()
    return box


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A project whose source ``corpus`` was ingested, for tests that only ask."""
    root = tmp_path_factory.mktemp("built") / "project"
    template.create(root)
    write_corpus(root / "corpus")
    box = Sandbox(root)
    box.sources(corpus=CORPUS)
    box.first = box.gendata("run")
    return box


@pytest.fixture
def project(built, tmp_path):
    """A copy of ``built``, to be changed."""
    shutil.copytree(built.root, tmp_path / "project", symlinks=True)
    return Sandbox(tmp_path / "project")


@pytest.fixture
def full(tmp_path):
    """A project with models of all families, tiny, with digits and notes to train on; nothing has run."""
    return full_project(tmp_path / "project")


@pytest.fixture(autouse=True, scope="session")
def compiled_quietly():
    """What a command says does not depend on whether its loops were compiled by an earlier test."""
    compiled.NOTICE.told = True
