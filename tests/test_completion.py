"""The script with which a shell completes a command line."""

import shutil
import subprocess
import sys

import pytest

from depthsi.cli import main

IMPORTED = """
import sys
from depthsi.cli import main
main(["--tyro-print-completion", "bash"])
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    (folder / "script.bash").write_text(done.stdout)
    return folder


def test_bash_accepts_the_script(folder):
    subprocess.run(["bash", "-n", "script.bash"], cwd=folder, check=True)
    script = (folder / "script.bash").read_text()
    assert "\ncomplete -o default -F _tyro_depthsi depthsi\n" in script  # names of files else


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
def test_a_word_is_completed(folder, words, expected):
    done = subprocess.run(
        ["bash", "-c", PRESS_TAB, "bash", "depthsi", *words.split(" ")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == expected
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells(shell, capsys, tmp_path):
    main(["--tyro-print-completion", shell])
    script = capsys.readouterr().out
    assert "    for completion in completions or ['__TYRO_COMPLETE_FILES__']:\n" in script
    if program := shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([program, "-n", "script"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused_in_a_sentence(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--tyro-print-completion", *words])
    assert stopped.value.code == 2
    assert "takes the name of a shell: bash, zsh, fish." in capsys.readouterr().err
