"""An object store on this machine, for the tests that must hold there too."""

import socket
import uuid

import pytest
import shards


@pytest.fixture(scope="session")
def endpoint():
    """The URL of a server of the S3 kind, in this process."""
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["folder", "other folder", "s3"])
def where(request, monkeypatch, tmp_path):
    """Where the stores of a test are."""
    return _place(request, monkeypatch, tmp_path)


@pytest.fixture(params=["folder", "s3"])
def anywhere(request, monkeypatch, tmp_path):
    """Of a test that must hold in an object store as well."""
    return _place(request, monkeypatch, tmp_path)


def _place(request, monkeypatch, tmp_path):
    if request.param == "s3":
        import boto3

        endpoint = request.getfixturevalue("endpoint")
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        for name, value in {**environment, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
        monkeypatch.setattr(shards, "URI", f"s3://{bucket}/some/prefix")
    elif request.param == "other folder":
        monkeypatch.setattr(shards, "URI", str(tmp_path / "elsewhere"))
    return request.param
