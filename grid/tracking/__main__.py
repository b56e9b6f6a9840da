"""`make tracking`: MLflow's server on loopback, behind a log-in, until Ctrl-C.

It looks first whether its database and the place of its artifacts can be used: exit code 2 and one line where
not. Options that are not ours go to `mlflow server`.
"""

import argparse
import os
import secrets
import sys
from pathlib import Path

from grid.addresses import hide_passwords
from grid.tracking.client import client
from medpt import files
from medpt.errors import InputError

DATABASE, ARTIFACTS = "MEDPT_TRACKING_DB", "MEDPT_TRACKING_ARTIFACTS"
PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - its name
LOGIN = """[mlflow]
default_permission = READ
database_uri = sqlite:///{users}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""  # the cache: else every request waits for a hash that is slow on purpose


def main(arguments: list[str] | None = None) -> int:
    options, more = parser().parse_known_args(arguments)
    out = options.out.absolute()
    database = os.environ.get(DATABASE) or f"sqlite:///{out / 'mlflow.db'}"
    artifacts = os.environ.get(ARTIFACTS) or str(out / "mlartifacts")
    try:
        check_openness(more, login=options.login)
        out.mkdir(parents=True, exist_ok=True)
        check_database(database)
        check_artifacts(artifacts)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ |= surroundings(database) | (login(out / "tracking") if options.login else {})
    print(told(options.port, out / "tracking", login=options.login), flush=True)
    from mlflow.cli import cli

    cli(server(options.port, artifacts, more, login=options.login))
    return 0


def check_openness(more: list[str], *, login: bool) -> None:
    """Whoever reaches the server may change everything, unless somebody is asked who they are."""
    if "--disable-security-middleware" in more:
        raise InputError("--disable-security-middleware: any web page could then change the record")
    if not login and any(word.split("=")[0] in ("--host", "-h") for word in more):
        raise InputError("--no-login with --host: without a log-in the server stays on loopback")


def check_database(uri: str) -> None:
    """Makes its schema, too, so that servers that start at once do not make it at once."""
    try:
        client(uri)
    except Exception as error:  # of SQLAlchemy, its drivers or MLflow
        reason = hide_passwords(error).strip().partition("\n")[0]
        raise InputError(f"{DATABASE}={hide_passwords(uri)}: cannot be used: {reason}") from None


def check_artifacts(place: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(place).list_artifacts()
    except Exception as error:  # of the cloud's own client
        raise InputError(
            f"{ARTIFACTS}={hide_passwords(place)}: cannot be listed: {hide_passwords(error)}"
        ) from None


def surroundings(database: str) -> dict[str, str]:
    """In the environment the database's password is not among the arguments, which everybody can list."""
    return {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def login(folder: Path) -> dict[str, str]:
    """What MLflow needs to ask for a name and a password; `folder` is its owner's alone."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    kept = folder / "password"
    if PASSWORD not in os.environ and not kept.is_file():
        files.write_text(kept, secrets.token_urlsafe(24) + "\n")
    settings = folder / "login.ini"
    files.write_text(settings, LOGIN.format(users=folder / "users.db"))
    return {
        PASSWORD: os.environ.get(PASSWORD) or kept.read_text().strip(),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def server(port: int, artifacts: str, more: list[str], *, login: bool) -> list[str]:
    hosts = f"127.0.0.1:{port},localhost:{port}"
    fixed = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--allowed-hosts", hosts]
    asking = ["--app-name", "basic-auth"] if login else []
    place = ["--artifacts-destination", artifacts]
    return ["server", *fixed, *place, *asking, *more]


def told(port: int, folder: Path, *, login: bool) -> str:
    address = f"http://127.0.0.1:{port}"
    if not login:
        return f"{address}, for every user of this machine"
    kept = folder / "password"
    password = f"$(cat {kept})" if kept.is_file() else f"${PASSWORD}"
    names = f'export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD="{password}"'
    return f"{address}, for who gives its name and password:\n  {names}"


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m grid.tracking", description="MLflow's server; other options go to `mlflow server`."
    )
    result.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="of the runs it shows")
    result.add_argument("--port", type=int, default=5000)
    result.add_argument(
        "--no-login", dest="login", action="store_false", help="ask nobody; for a machine with one user"
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
