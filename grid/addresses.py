"""Addresses that a user gives: which of Ray and MLflow are accepted; passwords hidden in what is printed."""

import re
from urllib.parse import urlsplit

TRACKING_URIS = "http(s)://… of `make tracking`, sqlite:///FILE or postgresql://…"
RAY_ADDRESSES = "HOST:PORT of a Ray head, or `auto` on a node of the cluster"
RAY_HEAD = re.compile(r"(?:ray://)?(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
OF_USER = re.compile(r"(://[^/?#:@\s]*:)\S+(?=@)")
OF_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]+")


def is_tracking_uri(uri: str) -> bool:
    """Whether `uri` is of a kind that MLflow's record may have; TRACKING_URIS names them."""
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        return uri.startswith("sqlite:///") and len(parts.path) > 1
    return parts.scheme in ("http", "https", "postgresql") and bool(parts.netloc)


def is_ray_address(address: str) -> bool:
    """Whether `address` is of a kind that RAY_ADDRESSES names; whether a Ray runs there is tried later."""
    found = RAY_HEAD.fullmatch(address)
    return address == "auto" or bool(found and 0 < int(found[1]) < 2**16)


def hide_passwords(text: object) -> str:
    """Return `text` with *** instead of every password in its addresses; it hides too much rather than
    too little.
    """
    return OF_QUERY.sub(r"\1***", OF_USER.sub(r"\1***", str(text)))
