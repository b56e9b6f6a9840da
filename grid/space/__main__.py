"""`python -m grid.space`: the JSON Schema of space files, with which editors complete and check them."""

import argparse
import json
import sys

DESCRIPTION = "Print the JSON Schema of space files, with which editors complete and check them."


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m grid.space", description=DESCRIPTION).parse_args(arguments)
    from grid.space.schema import SpaceFile
    from medpt.schema import json_schema

    print(json.dumps(json_schema(SpaceFile), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
