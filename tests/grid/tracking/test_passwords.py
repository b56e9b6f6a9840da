"""What is printed of an address: never its password."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid import run
from grid.tracking.passwords import hide_passwords

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8)


@given(password=WORDS)
def test_no_password_of_an_address_is_printed(password: str) -> None:
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
def test_what_is_no_password_stays(given: str, printed: str) -> None:
    assert hide_passwords(given) == printed


def test_the_command_that_goes_on_is_printed_without_it() -> None:
    arguments = ["--space", "demo", "--tracking-uri", "https://me:secret@host"]
    options = run.parser().parse_args(arguments)
    options.given = arguments
    assert run.command(options) == "python -m grid.run --space demo --tracking-uri 'https://me:***@host'"
