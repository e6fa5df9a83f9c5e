"""`depthsi --tyro-print-completion bash`: the script by which a shell completes commands."""

import contextlib
import io
from collections.abc import Callable

from depthsi.errors import DepthsiError

FLAG = "--tyro-print-completion"
SHELLS = ("bash", "zsh", "fish")
# (in the scripts that tyro writes, in ours); quotes are single, since fish has them inside double
CHANGES = (
    (  # options only behind a dash, helps of several lines in one, and names of files for the rest
        "    for completion in completions:\n        print(completion)\n",
        "    word = words[current_index] if current_index < len(words) else ''\n"
        "    if not word.startswith('-'):\n"
        "        completions = [each for each in completions if not each.startswith('-')]\n"
        "    for completion in completions or ['__TYRO_COMPLETE_FILES__']:\n"
        "        print(*completion.splitlines())\n",
    ),
    ('COMPREPLY=($(compgen -f -- "$cur"))', "COMPREPLY=()"),  # bash itself knows spaces in names
    ("complete -F ", "complete -o default -F "),
    (  # fish: this program is longer than an argument may be; it also has to see the word begun
        '($python_cmd -c "$pycode" $words $current)',
        '(printf "%s" "$pycode" | $python_cmd - $words (commandline -ct) $current)',
    ),
)


def completion_script(parse: Callable[[list[str]], object], words: list[str]) -> str:
    """The script for a shell.

    Args:
      parse: of the command line, which prints a script when it is asked for one.
      words: behind `FLAG`.

    Raises:
      DepthsiError: no shell, or one without such a script.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        raise DepthsiError(f"{FLAG} takes the name of a shell: {', '.join(SHELLS)}.")
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        parse([FLAG, *words])
    script = printed.getvalue()
    for theirs, ours in CHANGES:
        script = script.replace(theirs, ours)
    return script
