"""Errors that users cause and can correct; commands print one line for each problem, never a traceback."""

import re
from collections.abc import Iterable, Iterator

LONGEST = 2000  # characters of a problem that is printed in full
LISTED = re.compile(r"(?<=known: |epted: ).{60,}$")  # a long list of accepted names


def printable(text: str) -> str:
    """Return `text` with control characters written out, so that no name is a command to the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


class InputError(ValueError):
    """Bad input (a file, a folder, a configuration), with all problems of one pass, a line each.

    Commands turn it into exit code 2; in a unit of work it fails the unit without a retry.
    """

    SHOWN = 20

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        hidden = len(self.problems) - self.SHOWN
        more = [f"... and {hidden} more"] if hidden > 0 else []
        shown = map(_shortened, _lists_once(self.problems[: self.SHOWN]))
        return "\n".join([*(printable(line).replace("\n", "\\n") for line in shown), *more])


def _shortened(problem: str) -> str:
    """Leave out the middle of a value of thousands of characters, so that what is accepted stays in sight."""
    if len(problem) <= LONGEST:
        return problem
    return f"{problem[: LONGEST // 2]} [...] {problem[-LONGEST // 2 :]}"


def _lists_once(problems: Iterable[str]) -> Iterator[str]:
    """Yield the problems, with a long list of all that is accepted where it is first given."""
    given = set[str]()
    for problem in problems:
        found = LISTED.search(problem)
        yield f"{problem[: found.start()]}as above" if found and found[0] in given else problem
        given |= {found[0]} if found else set()


class DivergedError(ArithmeticError):
    """The loss or a metric is not finite; the recorded result of the unit is that it diverged."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the similar known names, else all of them."""
    from difflib import get_close_matches

    names = list(known)
    if not names:
        return "none is accepted here"
    close = get_close_matches(word.lower(), [name.lower() for name in names], n=3)
    near = [name for name in names if name.lower() in close]
    return f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
