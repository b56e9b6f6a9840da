"""Errors that users cause and can correct; commands print one line for each problem, never a traceback."""

from collections.abc import Iterable


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
        return "\n".join(self.problems[: self.SHOWN] + more)


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
