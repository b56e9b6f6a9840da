"""A tracker whose certificate is not accepted is distinguished from one that does not answer."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import tls

from grid.doctor import checks
from grid.tracking.client import client, repair_needed


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def asked(uri: str) -> Exception | None:
    """Return the error of MLflow's client."""
    try:
        client(uri).search_experiments(max_results=1)
    except Exception as error:
        return error
    return None


def finding(uri: str) -> str | None:
    return repair_needed(error) if (error := asked(uri)) else None


def doctor(uri: str) -> str | None:
    found = checks.tracker(uri)
    return None if found.ok else found.text


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for variable in checks.CERTIFICATES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("asks", [finding, doctor])
@pytest.mark.parametrize(("days", "reason"), [(1, "self-signed"), (-1, "certificate has expired")])
def test_certificate_that_is_not_accepted_is_named_with_the_remedy(
    days: int, reason: str, asks: Callable[[str], str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = tls.certificate(tmp_path, days=days)
    if days < 0:  # its authority is known, so that its age alone is wrong
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(chain))
    with tls.serving(Answers, chain) as uri:
        text = asks(uri)
    assert text is not None
    assert f"its certificate is not accepted ({reason}" in text
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in text


@pytest.mark.parametrize("asks", [finding, doctor])
@pytest.mark.parametrize("variable", checks.CERTIFICATES)
def test_certificate_that_is_named_is_trusted(
    variable: str, asks: Callable[[str], str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = tls.certificate(tmp_path)
    monkeypatch.setenv(variable, str(chain))
    with tls.serving(Answers, chain) as uri:
        assert asks(uri) is None


@pytest.mark.parametrize("asks", [finding, doctor])
def test_server_without_tls_is_not_called_missing(asks: Callable[[str], str | None]) -> None:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        text = asks(f"https://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert text is not None
    assert "write http:// instead of https://" in text


def test_server_that_is_away_needs_no_repair() -> None:
    error = asked("https://127.0.0.1:9")
    assert error is not None
    assert repair_needed(error) is None


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("asks", [finding, doctor])
def test_certificate_is_not_looked_at_where_the_user_says_so(
    asks: Callable[[str], str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = tls.certificate(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    with tls.serving(Answers, chain) as uri:
        assert asks(uri) is None
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(chain))
    assert "MLflow accepts one of them" in checks.tracker(uri).text
