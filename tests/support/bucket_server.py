"""An S3 server on loopback (moto's), with an empty bucket, and the environment that reaches it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch
from uuid import uuid4

ACCESS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@contextmanager
def server() -> Iterator[str]:
    """The URL of a bucket, while its server runs in a thread and the environment names it."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    try:
        with patch.dict(os.environ, ACCESS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}):
            yield f"s3://{made()}/runs"
    finally:
        serving.stop()


def made() -> str:
    import boto3

    name = f"bucket-{uuid4().hex[:12]}"
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    return name
