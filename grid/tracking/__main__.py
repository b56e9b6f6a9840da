"""`python -m grid.tracking` or `make tracking`: serve MLflow's record on this machine until Ctrl-C.

The port, the database and the folder for artifacts are tried first; if one cannot be used, the command prints
why and exits with code 2. Options that are not listed by --help go to `mlflow server`.
"""

import argparse
import errno
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from grid.addresses import hide_passwords
from grid.options import command_parser
from grid.tracking.client import client
from grid.tracking.names import experiment_name
from grid.tracking.parents import SHARED_VIEW, VIEW
from medpt import cli, files
from medpt.arguments import path, whole_number
from medpt.errors import InputError

LINKS = 20  # experiments whose address is printed
DATABASE, ARTIFACTS = "MEDPT_TRACKING_DB", "MEDPT_TRACKING_ARTIFACTS"
PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105 - the name of the variable
LOGIN = """[mlflow]
default_permission = READ
database_uri = sqlite:///{users}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""  # without the cache every request computes a hash that is slow on purpose


def main(arguments: list[str] | None = None) -> int:
    options, more = parser().parse_known_args(arguments)
    return cli.run_command(partial(serve, more, **vars(options)), options.out)


def serve(more: list[str], out: Path, port: int, *, login: bool) -> None:
    """Check what the server needs, then run it in this process until it is stopped.

    `more` are arguments for MLflow's own command; without `login` everybody may change the record.
    """
    out = out.absolute()
    database = os.environ.get(DATABASE) or f"sqlite:///{out / 'mlflow.db'}"
    artifacts = os.environ.get(ARTIFACTS) or str(out / "mlartifacts")
    refuse_open_server(more, login=login)
    check_port(port)
    out.mkdir(parents=True, exist_ok=True)
    connection = check_database(database)
    check_artifacts(artifacts)
    os.environ |= server_environment(database) | (set_up_login(out / "tracking") if login else {})
    print(how_to_connect(port, out / "tracking", login=login), flush=True)
    for line in experiment_links(connection, port):
        print(line, flush=True)
    from mlflow.cli import cli as mlflow_cli

    mlflow_cli(server_arguments(port, artifacts, more, login=login))


def refuse_open_server(more: list[str], *, login: bool) -> None:
    """Raise InputError for options with which anybody could change the record."""
    if "--disable-security-middleware" in more:
        raise InputError("--disable-security-middleware is refused: any web page could change the record")
    if not login and any(word.split("=")[0] in ("--host", "-h") for word in more):
        raise InputError("--no-login with --host is refused: anybody who reaches it could change the record")


def check_port(port: int) -> None:
    """Raise InputError where the server could not listen on `port`: MLflow would end with exit code 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: ended ones do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = f"nothing can listen on it ({error.strerror})"
            if error.errno == errno.EADDRINUSE:
                reason = "another program listens on it, such as an earlier server of this command; end that"
            raise InputError(f"--port {port}: {reason}, or give another port") from None


def check_database(uri: str) -> Any:
    """Return MLflow's client of the database. Raises InputError if it cannot be used; creates its schema.

    The schema is there before the server starts, so that servers that start together do not create it twice.
    """
    try:
        return client(uri)
    except Exception as error:  # of SQLAlchemy, its drivers or MLflow
        reason = hide_passwords(error).strip().partition("\n")[0]
        raise InputError(f"{DATABASE}={hide_passwords(uri)}: cannot be used: {reason}") from None


def check_artifacts(address: str) -> None:
    """Raise InputError if the folder or bucket for artifacts cannot be listed."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(address).list_artifacts()
    except Exception as error:  # of the cloud's own client
        reason = hide_passwords(error)
        raise InputError(f"{ARTIFACTS}={hide_passwords(address)}: cannot be listed: {reason}") from None


def server_environment(database: str) -> dict[str, str]:
    """Return variables for MLflow.

    The database's address is among them, as it may hold a password and everybody can list the arguments of a
    process.
    """
    return {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def set_up_login(folder: Path) -> dict[str, str]:
    """Write what MLflow's log-in needs into `folder`, readable by its owner alone; return its variables."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    password = folder / "password"
    if PASSWORD not in os.environ and not password.is_file():
        files.write_text(password, secrets.token_urlsafe(24) + "\n")
    settings = folder / "login.ini"
    files.write_text(settings, LOGIN.format(users=folder / "users.db"))
    return {
        PASSWORD: os.environ.get(PASSWORD) or password.read_text(encoding="utf-8").strip(),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def server_arguments(port: int, artifacts: str, more: list[str], *, login: bool) -> list[str]:
    """Return the arguments of MLflow's command; those in `more` come last and win."""
    hosts = f"127.0.0.1:{port},localhost:{port}"
    fixed = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--allowed-hosts", hosts]
    app = ["--app-name", "basic-auth"] if login else []
    return ["server", *fixed, "--artifacts-destination", artifacts, *app, *more]


def how_to_connect(port: int, folder: Path, *, login: bool) -> str:
    """Return the server's address and, with a log-in, the line that gives a client its name and password."""
    address = f"http://127.0.0.1:{port}"
    if not login:
        return f"{address}, open to every user of this machine"
    file = folder / "password"
    password = f"$(cat {file})" if file.is_file() else f"${PASSWORD}"
    names = f'export MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD="{password}"'
    return f"{address}; commands and browsers need this name and password:\n  {names}"


def experiment_links(connection: Any, port: int) -> list[str]:
    """Return a line with the link to the list of runs of each space, the latest first.

    MLflow 3.17 opens an experiment on a page for language models unless the link says otherwise.
    """
    found = connection.search_experiments(filter_string=f"name LIKE '{experiment_name('')}%'")
    begin, end = f"http://127.0.0.1:{port}/#/experiments", "runs?workflowType=machine_learning"
    return [f"  {one.name}: {begin}/{one.experiment_id}/{end}{_view_of(one.tags)}" for one in found[:LINKS]]


def _view_of(tags: Mapping[str, str]) -> str:
    """Return what opens the view with columns of scores, if an experiment has it."""
    return f"&viewStateShareKey={VIEW}" if f"{SHARED_VIEW}{VIEW}" in tags else ""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options that are not MLflow's."""
    result = command_parser(
        "grid.tracking", "Serve MLflow's record on this machine. Other options go to `mlflow server`."
    )
    result.add_argument(
        "--out",
        type=path,
        default=Path("runs"),
        metavar="DIR",
        help="the results whose record is served (default: %(default)s)",
    )
    result.add_argument(
        "--port",
        type=whole_number(1, 65535),
        default=5000,
        metavar="N",
        help="port of the server (default: %(default)s)",
    )
    result.add_argument(
        "--no-login",
        dest="login",
        action="store_false",
        help="ask for no password; for a machine that you share with nobody",
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
