"""Messages of bad input: every problem, and a long list of what is accepted once."""

from medpt.errors import InputError, did_you_mean

NAMES = [f"backbone_{number}" for number in range(20)]


def test_long_list_of_known_names_is_given_once() -> None:
    problems = [f"space.yaml, line {line}: no such key; {did_you_mean('xyz', NAMES)}" for line in (3, 5)]
    problems += ["line 7: `a`; accepted: " + ", ".join(NAMES), "line 8: no such key; known: a, b"]
    lines = str(InputError(problems)).splitlines()
    assert lines == [
        problems[0],
        "space.yaml, line 5: no such key; known: as above",
        "line 7: `a`; accepted: as above",
        problems[3],
    ]
    assert InputError(problems).problems == problems


def test_long_value_leaves_what_is_accepted_in_sight() -> None:
    text = str(InputError(f"card.yaml:3: `images` is '{'x' * 100_000}': no such folder"))
    assert len(text) < 2100
    assert text.startswith("card.yaml:3: `images` is 'xxx")
    assert text.endswith("xxx': no such folder")


def test_short_and_different_lists_stay() -> None:
    problems = [f"{name}: unknown; known: a, b" for name in "xy"]
    problems += [f"{name}: unknown; known: {', '.join(NAMES[start:])}" for start, name in enumerate("xy")]
    assert str(InputError(problems)).splitlines() == problems


def test_control_characters_of_names_are_written_out() -> None:
    assert str(InputError(["a\x1b[31m\n.png: no image", "b"])) == "a\\x1b[31m\\n.png: no image\nb"
