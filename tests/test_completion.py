"""The script with which a shell completes a command line."""

import re
import shutil
import subprocess
import sys

import pytest

from depthsi.cli import main

IMPORTED = """
import sys
from depthsi.cli import main
main(["--tyro-print-completion", sys.argv[1]])
slow = ("jax", "flax", "orbax", "grain", "PIL", "matplotlib")
print([name for name in slow if name in sys.modules], file=sys.stderr)
"""
# as bash does after a word is begun and Tab is pressed
PRESS_TAB = """
source script.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_tyro_depthsi
printf '%s\\n' "${COMPREPLY[@]}"
"""


PRESS_TAB_ZSH = """
_describe() { print -l -- ${(P)2} }
_files() { print -l -- ${words[CURRENT]}*(N) }
words=("$@"); CURRENT=$#
source script.zsh
"""
PRESS_TAB_FISH = "source script.fish; complete -C (string join -- ' ' $argv)"
HOW = {
    "bash": ["bash", "-c", PRESS_TAB, "bash"],
    "zsh": ["zsh", "-f", "-c", PRESS_TAB_ZSH, "zsh"],
    "fish": ["fish", "-N", "-c", PRESS_TAB_FISH, "--"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in HOW:
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED, shell], capture_output=True, text=True, check=True
        )
        assert done.stderr == "[]\n"
        (folder / f"script.{shell}").write_text(done.stdout)
    return folder


def test_bash_accepts_the_script(folder):
    subprocess.run(["bash", "-n", "script.bash"], cwd=folder, check=True)
    script = (folder / "script.bash").read_text()
    assert "\ncomplete -o default -F _tyro_depthsi depthsi\n" in script  # names of files else


@pytest.mark.parametrize("shell", HOW)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pr", ["predict", "prepare"]),
        ("predict --sa", ["--save"]),  # whose help has several lines
        ("predict --upsample b", ["bilinear"]),
        ("train r", ["rooms"]),
        ("predict phot", []),
        ("predict ", []),
        ("train rooms --data.root phot", []),
        ("prepare nyu_depth_v2_r", ["nyu_depth_v2_raw"]),
    ],
)
def test_a_word_is_completed(folder, shell, words, expected):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [*HOW[shell], "depthsi", *words.split(" ")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    # zsh and fish show a help behind the word, and here also names of files
    found = [re.split("[:\t]", line)[0] for line in done.stdout.splitlines()]
    found = [word for word in found if word and "script." not in word]
    assert found == expected
    assert done.stderr == ""


@pytest.mark.parametrize("shell", HOW)
def test_scripts_have_our_changes(folder, shell):
    script = (folder / f"script.{shell}").read_text()
    assert "    for completion in completions or ['__TYRO_COMPLETE_FILES__']:\n" in script
    assert '-c "$pycode"' not in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n", f"script.{shell}"], cwd=folder, check=True)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_names_of_files_where_nothing_else_is_known(folder, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [*HOW[shell], "depthsi", "predict", "script.z"], cwd=folder, capture_output=True, text=True
    )
    assert done.stdout.split() == ["script.zsh"]


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused_in_a_sentence(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--tyro-print-completion", *words])
    assert stopped.value.code == 2
    assert "takes the name of a shell: bash, zsh, fish." in capsys.readouterr().err
