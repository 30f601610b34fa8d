"""Shared by the tests of the families."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Threads cost more than they save at this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
