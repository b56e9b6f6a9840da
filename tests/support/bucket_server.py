"""An S3 server on loopback (moto's), with an empty bucket, and the environment that reaches it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Lock
from typing import Any
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

    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    address = {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    put = one_at_a_time(S3Response.put_object)
    try:
        with patch.dict(os.environ, ACCESS | address), patch.object(S3Response, "put_object", put):
            yield f"s3://{made()}/runs"
    finally:
        serving.stop()


def one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hold a lock while `function` runs: moto tests `If-None-Match` and writes in two steps, S3 in one."""
    lock = Lock()

    @wraps(function)
    def call(*arguments: Any) -> Any:
        with lock:
            return function(*arguments)

    return call


def made() -> str:
    import boto3

    name = f"bucket-{uuid4().hex[:12]}"
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    return name
