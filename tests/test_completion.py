"""The tab key in a shell: what it offers, tried in the shell itself."""

import subprocess

import pytest

from rtsep.__main__ import main

# Completes as if the words of the command line had been typed, and the cursor stood behind the last.
_TRY = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_rtsep rtsep "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path, capsys):
    assert main(["--print-completion", "bash"]) == 0
    path = tmp_path / "rtsep.bash"
    path.write_text(capsys.readouterr().out)
    return path


def test_bash_can_read_it(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize(
    "words, offered",
    [
        ("rtsep sep", "separate"),
        ("rtsep preset exp", "export"),
        ("rtsep separate --templ", "--templates"),
        ("rtsep separate my", "my.wav"),
        ("rtsep live --record ta", "takes"),
        ("rtsep karaoke my", "my.wav"),
        ("rtsep evaluate my", "my.wav"),
    ],
)
def test_bash_completes(script, tmp_path, words, offered):
    (tmp_path / "my.wav").touch()
    (tmp_path / "takes").mkdir()
    command = ["bash", "-c", _TRY, "bash", script, *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [offered]


def test_zsh_gets_a_script_of_its_own(capsys):
    assert main(["--print-completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef rtsep")
