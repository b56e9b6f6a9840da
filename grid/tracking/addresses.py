"""Where MLflow's record may be. Light: commands ask before they load anything."""

from argparse import ArgumentTypeError
from urllib.parse import urlsplit

from grid.tracking.passwords import hide_passwords

ACCEPTED = "http(s)://… of `make tracking`, sqlite:///FILE or postgresql://…"


def is_known(uri: str) -> bool:
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        return uri.startswith("sqlite:///") and len(parts.path) > 1
    return parts.scheme in ("http", "https", "postgresql") and bool(parts.netloc)


def tracking_uri(text: str) -> str:
    """`text`, for argparse; its error names what is accepted."""
    if not is_known(text):
        raise ArgumentTypeError(f"`{hide_passwords(text)}`: {ACCEPTED} is accepted")
    return text
