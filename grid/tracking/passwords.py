"""No password of an address reaches a terminal, a log or a file: what is printed goes through `hidden`."""

import re

OF_USER = re.compile(r"(://[^/?#:@\s]*:)\S+(?=@)")
OF_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]+")


def hide_passwords(text: object) -> str:
    """`text` with *** in the place of every password in its addresses; rather too much than too little."""
    return OF_QUERY.sub(r"\1***", OF_USER.sub(r"\1***", str(text)))
