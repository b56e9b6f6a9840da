"""Passwords in addresses: none of them is printed."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.addresses import hide_passwords

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8)


@given(password=WORDS)
def test_hide_passwords_removes_any_password(password: str) -> None:
    for place in (password, quote(password, safe="")):
        for text in (f"postgresql://me:{place}@host:5432/mlflow", f"('https://me:{place}@host/api', 502)"):
            assert place not in hide_passwords(text).replace("***", "")
            assert "://me:***@host" in hide_passwords(text)


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////data/of me/mlflow.db", "sqlite:////data/of me/mlflow.db"),
        (
            "postgresql://host/db?user=me&password=abc&sslmode=require",
            "postgresql://host/db?user=me&password=***&sslmode=require",
        ),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("http://me:a@b:c@host:80/x failed", "http://me:***@host:80/x failed"),
    ],
)
def test_hide_passwords_keeps_the_rest(given: str, printed: str) -> None:
    assert hide_passwords(given) == printed
