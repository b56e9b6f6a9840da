"""RunOptions: parsed from a command line, sent as JSON, and described by --help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.options import RunOptions, parse_options

PATHS = st.none() | st.sampled_from([Path("/data"), Path("/data/of me")])
COUNTS = st.none() | st.integers(min_value=0)
SECONDS = st.floats(min_value=0, allow_infinity=False)
OPTIONS = st.builds(
    RunOptions,
    space=st.text(),
    out=st.sampled_from(["/runs", "s3://bucket/runs"]),
    data=PATHS,
    tracking_uri=st.none() | st.text(),
    address=st.none() | st.text(),
    cpus=COUNTS,
    gpus=COUNTS,
    stall_seconds=SECONDS,
    cache=PATHS,
    cache_bytes=st.integers(min_value=0),
    checkpoint_seconds=SECONDS,
    lease_seconds=SECONDS,
    imagenet_weights=PATHS,
    weights_files=st.lists(st.text()).map(tuple),
    filters=st.dictionaries(st.text(), st.lists(st.text()).map(tuple)),
    limit=COUNTS,
    dry_run=st.booleans(),
    flush=st.booleans(),
    tune=st.booleans(),
    command=st.text(),
)


@given(options=OPTIONS)
def test_options_round_trip_through_json(options: RunOptions) -> None:
    assert RunOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_command_line_sets_every_field(tmp_path: Path) -> None:
    line = (
        "--space demo --out runs --data images --tracking-uri http://host:5000 --address auto --cpus 4 "
        "--gpus 0 --wait 5 --cache cache --cache-gb 0.5 --checkpoint-seconds 10 --lease-seconds 20 "
        f"--imagenet-weights {tmp_path} --filter target=DRIVE,seed=0,seed=1 --limit 3 --dry-run --no-tune"
    )
    here = Path.cwd()
    assert parse_options(line.split()) == RunOptions(
        space="demo",
        out=str(here / "runs"),
        data=here / "images",
        tracking_uri="http://host:5000",
        address="auto",
        cpus=4,
        gpus=0,
        stall_seconds=5.0,
        cache=here / "cache",
        cache_bytes=2**29,
        checkpoint_seconds=10.0,
        lease_seconds=20.0,
        imagenet_weights=tmp_path,
        filters={"target": ("DRIVE",), "seed": ("0", "1")},
        limit=3,
        dry_run=True,
        tune=False,
        command=f"python -m grid.run {line}",
    )


def test_options_excluded_have_the_defaults_of_the_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDPT_DATA", raising=False)
    command = "python -m grid.run --space demo"
    assert parse_options(["--space", "demo"]) == RunOptions(
        "demo", str(Path("runs").absolute()), command=command
    )


def test_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDPT_DATA", str(tmp_path))
    assert parse_options(["--space", "demo"]).data == tmp_path


def test_out_of_a_bucket_stays_a_url() -> None:
    assert parse_options(["--space", "demo", "--out", "s3://bucket/runs"]).out == "s3://bucket/runs"


@pytest.mark.parametrize("below", ["", "runs"])
@pytest.mark.parametrize(
    ("option", "accepted"),
    [
        ("--out", "a folder or an address such as s3://bucket/runs is accepted"),
        ("--data", "a folder is accepted"),
        ("--cache", "a folder is accepted"),
        ("--imagenet-weights", "a folder is accepted"),
    ],
)
def test_file_in_place_of_a_folder_is_refused(
    option: str, accepted: str, below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", option, str(file / below)])
    assert f"argument {option}: {file} is a file; {accepted}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--data", "--out", "--cache"])
@pytest.mark.parametrize("target", ["link", "none"])
def test_link_to_itself_or_to_nothing_is_refused(
    option: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / target)
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", option, str(link)])
    assert f"{link} is a link that leads to no folder; a folder" in capsys.readouterr().err


def test_weights_in_no_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", "--imagenet-weights", str(tmp_path / "none")])
    assert f"argument --imagenet-weights: {tmp_path / 'none'}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["auto", "host:6379", "10.0.0.1:1", "[::1]:6379", "ray://host:10001"])
def test_addresses_of_a_ray_head_are_accepted(address: str) -> None:
    assert parse_options(["--space", "demo", "--address", address]).address == address


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--dry-run --flush", "--flush cannot be combined with --dry-run"),
        ("--flush --keep-missing --budget 1h", "--flush cannot be combined with --budget, --keep-missing"),
        ("--clean --verify", "--clean cannot be combined with --verify"),
        ("--clean --filter seed=0 --limit 1", "--clean cannot be combined with --filter, --limit"),
        ("--yes", "--yes is accepted with --clean only"),
    ],
)
def test_options_that_contradict_are_refused(
    options: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", *options.split()])
    assert capsys.readouterr().err.endswith(f"error: {problem}\n")


def test_command_hides_passwords_and_workers_receive_none() -> None:
    options = parse_options(["--space", "demo", "--tracking-uri", "https://me:secret@host"])
    assert options.command == "python -m grid.run --space demo --tracking-uri 'https://me:***@host'"
    assert options.tracking_uri == "https://me:secret@host"
    sent = options.for_worker()
    assert "secret" not in json.dumps(sent)
    assert RunOptions.from_json(sent).open_store().out == options.out


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("--limit", "0", "a whole number from 1"),
        ("--limit", "³", "a whole number from 1"),
        ("--cpus", "9" * 5000, "a whole number from 1"),
        ("--gpus", "-1", "a whole number from 0"),
        ("--gpus", "half", "a whole number from 0"),
        ("--cache-gb", "large", "a number from 0"),
        ("--cache-gb", "-1", "a number from 0"),
        ("--wait", "nan", "a number from 0"),
        ("--wait", "inf", "a number from 0"),
        ("--checkpoint-seconds", "-1", "a number from 0"),
        ("--lease-seconds", "0", "a number from 1"),
        ("--data", "", "a path"),
        ("--out", " ", "a path"),
        ("--tracking-uri", "ftp://me:secret@host", "http(s)://"),
        ("--filter", "colour=red", "key of initialization"),
        ("--filter", "seed", "key of initialization"),
        ("--cpus", "0", "a whole number from 1"),
        ("--budget", "0h", "a time such as 2h"),
        ("--budget", f"{'9' * 400}h", "up to 10000000s"),
        ("--address", " ", "HOST:PORT"),
        ("--address", "foo:bar", "HOST:PORT"),
        ("--address", "host", "HOST:PORT"),
        ("--address", "host:0", "HOST:PORT"),
        ("--address", "host:70000", "HOST:PORT"),
        ("--address", "http://host:80", "HOST:PORT"),
        ("--address", "::1:80", "HOST:PORT"),
        ("--filter", "seed=0,colour", "key of initialization"),
    ],
)
def test_bad_values_are_refused_with_what_is_accepted(
    option: str, value: str, accepted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(["--space", "demo", option, value])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    wrong = "colour" if value.endswith(",colour") else value
    shown = f"{option}: `{wrong.replace('secret', '***')}`: "
    assert shown[:900] in message  # a longer value is shortened
    assert accepted in message


@pytest.mark.parametrize("option", ["--filter", "--limit", "--out"])
def test_option_given_twice_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"--filter": ("seed=0", "seed=1"), "--limit": ("2", "3"), "--out": ("a", "b")}[option]
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", option, values[0], option, values[1]])
    assert f"argument {option}: given twice" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["run", "doctor", "query", "report", "advise"])
def test_help_fits_80_columns_and_shows_defaults(module: str) -> None:
    environment = {"COLUMNS": "80", "PATH": "", "MEDPT_DATA": ""}
    command = [sys.executable, "-m", f"grid.{module}", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "(default: runs)" in text
    assert "None" not in text


def test_price_without_a_dry_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--space", "demo", "--price", "2.50/gpu-hour"])
    assert "--price is accepted with --dry-run only" in capsys.readouterr().err
