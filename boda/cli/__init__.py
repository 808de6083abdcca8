"""The command line: results go to standard output, everything else to standard error.

Exit status: 0 done; 1 failed while working; 2 the request or the data is wrong; 130 interrupted,
with everything saved.
"""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line; a ``BodaError`` becomes one message, ``--debug`` lets the traceback through."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.argv[1:] = [a for a in arguments if a != "--debug"]
    for stream in (sys.stdout, sys.stderr):  # a pipe on Windows may know no Hangul
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    from boda.cli.app import app
    from boda.errors import BodaError

    try:
        app()
    except BodaError as error:
        if debug:
            raise
        print(f"boda: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        print(f"boda: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        print(
            f"boda: failed: {type(error).__name__}: {error}\n"
            "Run it again with --debug and report what it prints.",
            file=sys.stderr,
        )
        sys.exit(1)
