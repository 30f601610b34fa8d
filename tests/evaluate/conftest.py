from train.conftest import images, stores, toy

__all__ = ["images", "stores", "toy"]
