"""Presets, sessions and controllers' files: what was saved comes back, and nobody's work is ever lost."""

import errno
import math
import os
import subprocess
import sys
import tomllib
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as times
from hypothesis import strategies as st

from rtsep.errors import BadInput, Unavailable
from rtsep.live import controller_files, presets, sessions, toml_files
from rtsep.live.presets import PRESETS
from rtsep.live.sessions import Session
from rtsep.parameters import PARAMETERS, SILENCE_DB, Parameters
from rtsep.settings import GROUPS, STEMS

MAPS = Path(toml_files.__file__).parent / "maps"
FADERS = {f"{stem}.{part}" for stem in (*STEMS, *GROUPS) for part in ("gain_db", "mute", "solo")}
SEVERAL = times(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """The folder of configurations, not there yet."""
    path = tmp_path / "config"
    monkeypatch.setenv("RTSEP_CONFIG", str(path))
    return path


def fresh():
    return Parameters(np.zeros(len(PARAMETERS), np.float32))


def value_of(parameter):
    """Values that the parameter can have."""
    if parameter.choices:
        return st.integers(0, len(parameter.choices) - 1).map(float)
    numbers = st.floats(parameter.low, parameter.high).map(parameter.check)
    return numbers | st.just(-math.inf) if parameter.low == SILENCE_DB else numbers


VALUES = st.fixed_dictionaries({}, optional={id: value_of(parameter) for id, parameter in PARAMETERS.items()})


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def files(folder):
    """All that lies in a folder and below, hidden or not."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keep_controller(port, document, **options):
    controller_files.update_controller(port, lambda before: document, **options)


def refuse(error):
    def call(*_, **__):
        raise error

    return call


# Presets that come with rtsep


@pytest.mark.parametrize(
    "name, departures",
    (
        ("karaoke", {"melody.gain_db": -18}),
        ("lead-only", {"melody.solo": 1}),
        ("backing-only", {"melody.mute": 1}),
        ("drums-down", {"percussive.gain_db": -12}),
        ("drums-only", {"percussive.solo": 1}),
        ("no-drums", {"percussive.mute": 1}),
        ("practice", {"melody.gain_db": -12, "percussive.gain_db": 3}),
    ),
)
def test_shipped_presets_set_the_whole_mix_and_nothing_but_the_mix(name, departures):
    assert presets.preset(name).values == dict.fromkeys(FADERS, 0) | departures
    parameters = fresh()
    parameters.update(PRESETS[name])
    assert {id: parameters[id].value for id in FADERS} == presets.preset(name).values


@pytest.mark.parametrize("first, second", list(permutations(PRESETS, 2)))
def test_shipped_presets_leave_no_traces_in_one_another(first, second):
    parameters, alone = fresh(), fresh()
    for id in FADERS:
        parameters[id] = PARAMETERS[id].high
    parameters.update(presets.preset(first).values)
    parameters.update(presets.preset(second).values)
    alone.update(presets.preset(second).values)
    assert parameters.snapshot() == alone.snapshot()


def test_shipped_presets_have_the_programs_from_1_in_their_order():
    assert [(each.name, each.bank, each.program) for each in presets.presets()] == [
        ("karaoke", 0, 1),
        ("lead-only", 0, 2),
        ("backing-only", 0, 3),
        ("drums-down", 0, 4),
        ("drums-only", 0, 5),
        ("no-drums", 0, 6),
        ("practice", 0, 7),
    ]
    assert all(each.shipped and not each.warnings for each in presets.presets())
    assert presets.preset_of(0, 2) == presets.preset("lead-only")
    assert presets.preset_of(1, 2) is presets.preset_of(0, 0) is presets.preset_of(0, 8) is None


@pytest.mark.parametrize("name", ("karaoke", "Karaoke", "LEAD-ONLY"))
def test_shipped_presets_can_be_neither_replaced_nor_deleted(config, tmp_path, name):
    given = put(tmp_path / "given.toml", "format = 1\n")
    with pytest.raises(BadInput, match="comes with rtsep: choose another name"):
        presets.save_preset(name, {}, force=True)
    with pytest.raises(BadInput, match="comes with rtsep: choose another name"):
        presets.import_preset(given, name, force=True)
    with pytest.raises(BadInput, match="comes with rtsep and stays"):
        presets.delete_preset(name)
    assert not config.exists()
    assert presets.preset(name) == presets.preset(name.lower()) and presets.preset(name).shipped


def test_a_file_with_the_name_of_a_shipped_preset_is_told_of_and_left_out(config):
    path = put(config / "presets" / "Karaoke.toml", 'format = 1\n[parameters]\nbypass = "on"\n')
    told = []
    assert [each.name for each in presets.presets(told.append)] == list(PRESETS)
    assert told == [f"{path}: the preset 'Karaoke' comes with rtsep: choose another name."]
    assert "bypass" not in presets.preset("Karaoke").values


# Presets of the user's


@SEVERAL
@given(VALUES)
def test_every_value_of_every_parameter_comes_back_exactly(values):
    presets.save_preset("mine", values, force=True)
    assert presets.preset("mine") == ("mine", values, None, 0, False, [])


@SEVERAL
@given(VALUES)
def test_files_hold_numbers_in_the_units_of_the_parameters_and_words(config, values):
    presets.save_preset("mine", values, force=True)
    with open(config / "presets" / "mine.toml", "rb") as file:
        content = tomllib.load(file)
    words = {id: parameter.choices for id, parameter in PARAMETERS.items() if parameter.choices}
    assert content["format"] == 1
    assert content["parameters"] == {id: words[id][int(v)] if id in words else v for id, v in values.items()}


def test_a_preset_looks_as_a_person_would_write_it(config):
    values = {"melody.gain_db": -math.inf, "key.semitones": -2, "bypass": 1, "hpss.mask": "binary"}
    presets.save_preset("Für Elise", values, program=128, bank=3)
    assert (config / "presets" / "Für Elise.toml").read_text("utf-8") == (
        'format = 1\nprogram = 128\nbank = 3\n\n[parameters]\n"melody.gain_db" = -inf\n"key.semitones" = -2.0\n'
        'bypass = "on"\n"hpss.mask" = "binary"\n'
    )
    assert presets.preset("Für Elise").values == values | {"hpss.mask": 1}


MINE = """\ufeff# The bridge of the song
format = 1
author = "me" # unknown to us
program = 9 # by pedal

[parameters]
# a guide to hold on to
"melody.gain_db" = "-6 dB"   # by ear
percussion = 3  # from another version
"percussive.gain_db" = -3 # soft
"hpss.bias" = 2.5
bypass = true

[lights]
color = "red"
"""


def test_comments_and_what_is_unknown_stay_when_a_preset_is_saved_again(config):
    path = put(config / "presets" / "bridge.toml", MINE)
    before = presets.preset("bridge")
    assert before.values == {"melody.gain_db": -6, "percussive.gain_db": -3, "hpss.bias": 2.5, "bypass": 1}
    assert (before.program, before.bank, before.shipped) == (9, 0, False)
    assert before.warnings == [f"{path}: this rtsep knows no parameter 'percussion'; it is left as it is."]
    values = {"melody.gain_db": -6.0, "percussive.gain_db": -4.5, "bypass": 1.0, "limiter": 1.0}
    presets.save_preset("bridge", values, force=True)
    assert path.read_text("utf-8") == MINE.removeprefix("\ufeff").replace("-3 # soft", "-4.5 # soft").replace(
        '"hpss.bias" = 2.5\nbypass = true\n\n', 'bypass = true\nlimiter = "on"\n\n'
    )
    assert presets.preset("bridge") == before._replace(values=values)


def test_a_preset_keeps_its_program_unless_it_gets_another(config):
    presets.save_preset("song", {}, program=5, bank=2)
    presets.save_preset("song", {"bypass": 1}, force=True)
    assert presets.preset("song")[:4] == ("song", {"bypass": 1}, 5, 2)
    presets.save_preset("song", {}, program=1, force=True)
    assert presets.preset("song")[:4] == ("song", {}, 1, 0)


def test_the_users_presets_answer_programs_before_ours_the_first_by_name_first():
    for name, program, bank in (("b", 1, 0), ("a", 1, 0), ("c", 1, 7), ("d", None, 0)):
        presets.save_preset(name, {}, program=program, bank=bank)
    assert presets.preset_of(0, 1).name == "a"
    assert presets.preset_of(7, 1).name == "c"
    assert presets.preset_of(0, 2).name == "lead-only"
    assert [each.name for each in presets.presets()] == [*PRESETS, "a", "b", "c", "d"]


@pytest.mark.parametrize("program, bank", ((0, 0), (129, 0), (-1, 0), (1.5, 0), (1, -1), (1, 16384), ("1", 0)))
def test_programs_and_banks_that_midi_does_not_have_are_refused(config, program, bank):
    with pytest.raises(BadInput, match=r"the (program|bank) is .*: it must be a whole number from "):
        presets.save_preset("mine", {}, program=program, bank=bank)
    assert not config.exists()
    put(config / "presets" / "mine.toml", f"format = 1\nprogram = {program!r}\nbank = {bank!r}\n")
    with pytest.raises(BadInput, match=r"mine\.toml: the (program|bank) is"):
        presets.preset("mine")


@pytest.mark.parametrize(
    "values, sentence",
    (
        ({"melody.gain": 0}, "unknown parameter 'melody.gain': did you mean 'melody.gain_db'"),
        ({"bypass": 1, "melody.gain_db": 13}, "melody.gain_db is 13: it must be"),
        ({"melody.gain_db": math.nan}, "melody.gain_db is nan: it must be"),
    ),
)
def test_values_that_make_no_sense_are_not_saved(config, values, sentence):
    with pytest.raises(BadInput, match=sentence):
        presets.save_preset("mine", values)
    with pytest.raises(BadInput, match=sentence):
        sessions.save_session("live", values, {})
    assert not config.exists()


def test_a_preset_that_is_there_is_replaced_only_by_force(config):
    presets.save_preset("song", {"bypass": 1})
    before = files(config)
    with pytest.raises(BadInput, match="there is a preset 'song' already: choose another name, or add --force"):
        presets.save_preset("song", {})
    assert files(config) == before
    presets.save_preset("song", {}, force=True)
    assert presets.preset("song").values == {}


def test_names_that_differ_in_case_alone_are_one_preset(config):
    presets.save_preset("Song", {"bypass": 1})
    with pytest.raises(BadInput, match="there is a preset 'Song' already"):
        presets.save_preset("sONG", {})
    assert presets.preset("SONG") == presets.preset("Song")
    presets.save_preset("song", {"limiter": 1}, force=True)
    assert list(files(config)) == ["presets/Song.toml"]
    assert presets.preset("Song").values == {"limiter": 1}
    presets.delete_preset("soNG")
    assert files(config) == {}


def test_files_that_differ_in_case_alone_are_found_by_their_very_names(config):
    for name, program in (("Song", 1), ("song", 2)):
        put(config / "presets" / f"{name}.toml", f"format = 1\nprogram = {program}\n")
    if len(files(config)) < 2:
        pytest.skip("this file system does not tell case apart")
    assert [presets.preset(name).program for name in ("Song", "song")] == [1, 2]
    presets.delete_preset("song")
    assert presets.preset("song").program == 1


@pytest.mark.parametrize("name", ("a", "7", "_", "Verse 2", "drums - quiet", "x" * 64, "日本", "console", "com"))
def test_names_of_letters_digits_and_signs_between_them_are_taken(name):
    presets.save_preset(name, {})
    assert presets.preset(name).name == name


NAMES = ("", " ", " a", "a ", "-a", "a\n", "a\tb", "a/b", "..", "../a", "a\\b", "a.b", "C:a", "/etc/passwd", "a*", "\0")
RESERVED = ("con", "NUL", "Com1", "lpt9", "COM³")


@pytest.mark.parametrize("name", (*NAMES, *RESERVED, "x" * 65))
def test_names_that_a_file_cannot_have_everywhere_are_refused(config, tmp_path, name):
    given = put(tmp_path / "given.toml", "format = 1\n")
    with pytest.raises(BadInput, match=r"no preset can be called .*: take letters, digits"):
        presets.save_preset(name, {}, force=True)
    with pytest.raises(BadInput, match="no preset can be called"):
        presets.import_preset(given, name)
    assert not config.exists()
    for use in (presets.preset, presets.delete_preset):
        with pytest.raises(BadInput, match="unknown preset"):
            use(name)


def test_an_unknown_preset_names_the_nearest():
    presets.save_preset("ballad", {})
    for use in (presets.preset, presets.delete_preset, lambda name: presets.export_preset(name, "x.toml")):
        with pytest.raises(BadInput, match=r"unknown preset 'balad': did you mean 'ballad'\?"):
            use("balad")
    with pytest.raises(BadInput, match="did you mean 'lead-only'"):
        presets.preset("leadonly")


# Files from one to another


@pytest.mark.parametrize("name", PRESETS)
def test_an_exported_preset_can_be_imported_under_another_name(tmp_path, name):
    path = tmp_path / "new" / "file.toml"
    presets.export_preset(name, path)
    taken = presets.import_preset(path, "other")
    assert taken == presets.preset("other") == ("other", presets.preset(name).values, None, 0, False, [])


def test_export_and_import_keep_every_word_of_a_users_preset(config, tmp_path):
    put(config / "presets" / "bridge.toml", MINE)
    path = tmp_path / "chorus.toml"
    presets.export_preset("bridge", path)
    assert path.read_text("utf-8") == MINE.removeprefix("\ufeff")
    taken = presets.import_preset(path)
    assert (taken.name, taken.values, taken.program) == ("chorus", presets.preset("bridge").values, 9)
    assert "knows no parameter 'percussion'" in taken.warnings[0]
    assert (config / "presets" / "chorus.toml").read_text("utf-8") == MINE.removeprefix("\ufeff")


def test_nothing_is_replaced_by_export_and_import_without_force(config, tmp_path):
    path = put(tmp_path / "song.toml", "precious")
    with pytest.raises(BadInput, match=r"song\.toml exists already: choose another name, or add --force"):
        presets.export_preset("karaoke", path)
    assert path.read_text() == "precious"
    presets.export_preset("karaoke", path, force=True)
    presets.save_preset("song", {})
    with pytest.raises(BadInput, match="there is a preset 'song' already"):
        presets.import_preset(path)
    assert presets.preset("song").values == {}
    assert presets.import_preset(path, force=True).values == presets.preset("karaoke").values


def test_export_and_import_need_a_file_and_a_place(tmp_path):
    with pytest.raises(BadInput, match=r"there is no file .*none\.toml"):
        presets.import_preset(tmp_path / "none.toml")
    with pytest.raises(Unavailable, match="cannot read"):
        presets.import_preset(tmp_path)
    with pytest.raises(Unavailable, match="cannot write"):
        presets.export_preset("karaoke", tmp_path, force=True)
    assert files(tmp_path) == {}


# Files that cannot be understood

NEWER = r"was written by a newer rtsep: format 2; this one knows 1\. Update rtsep, or move the file away"
BROKEN = (
    ("", "is no file of rtsep: it must begin with format = 1"),
    ("format = 2\n", NEWER),
    ("format = 2\n[parameters]\nwhatever = [1]\n", NEWER),
    ('format = "1"\n', "is no file of rtsep"),
    ("format = 0\n", "is no file of rtsep"),
    ("format = 1\n[parameters\n", "cannot be understood: .* Repair it or move it away"),
    ("format = 1\nformat = 1\n", "cannot be understood"),
    ("format = 1\n[parameters]\nbypass = 1\nbypass = 1\n", r"cannot be understood: .* already exists\. Repair it"),
    ("format = 1\nmoved = 2026-13-01\n", "cannot be understood"),
    (b"format = 1 # \xff\n", "cannot be understood"),
    (b"format = 1\na = " + b"[" * 10_000, "cannot be understood"),
)
NONSENSE = (
    ("parameters = 3", "parameters is 3: it must be a table, begun by the line"),
    ("[parameters]\nmelody.gain_db = -6", "melody is a table: write an id in quotes"),
    ('[parameters]\n"melody.gain_db" = 99', r"melody\.gain_db is 99: it must be"),
    ('[parameters]\n"melody.gain_db" = nan', r"melody\.gain_db is nan: it must be"),
    ('[parameters]\n"hpss.bias" = -inf', r"hpss\.bias is -inf: it must be"),
    ('[parameters]\n"hpss.mask" = "sift"', r"hpss\.mask is 'sift': it must be soft or binary"),
    ("[parameters]\nbypass = 2026-01-01", "bypass is .*: it must be off or on"),
    ("[parameters]\nbypass = []", "bypass is .*: it must be off or on"),
    (f"[parameters]\nlimiter = 1{'0' * 400}", "limiter is .*: it must be off or on"),
)
EVERY = (*BROKEN, *((f"format = 1\n{text}\n", sentence) for text, sentence in NONSENSE))
ALL_BROKEN = pytest.mark.parametrize("text, sentence", EVERY, ids=range(len(EVERY)))


@ALL_BROKEN
def test_a_preset_that_cannot_be_understood_is_told_of_and_never_replaced(config, tmp_path, text, sentence):
    path = put(config / "presets" / "mine.toml", text)
    other = put(tmp_path / "other.toml", text)
    good = put(tmp_path / "good.toml", "format = 1\n")
    before = files(tmp_path)
    for use in (
        lambda: presets.preset("mine"),
        lambda: presets.save_preset("mine", {}, force=True),
        lambda: presets.import_preset(good, "mine", force=True),
        lambda: presets.import_preset(other),
    ):
        with pytest.raises(BadInput, match=r"(mine|other)\.toml:? " + sentence):
            use()
    told = []
    assert [each.name for each in presets.presets(told.append)] == list(PRESETS)
    assert len(told) == 1 and str(path) in told[0]
    assert files(tmp_path) == before
    presets.delete_preset("mine")
    assert not path.exists()


@ALL_BROKEN
def test_a_session_that_cannot_be_understood_is_told_of_and_never_replaced(config, text, sentence):
    path = put(config / "sessions" / "live.toml", text)
    before = files(config)
    with pytest.raises(BadInput, match=r"live\.toml:? " + sentence):
        sessions.load_session("live")
    told = []
    session = Session("live", fresh(), {"mode": "live"}, told.append)
    session.tick(0)
    session.close()
    assert len(told) == 1 and str(path) in told[0] and told[0].startswith("the session is not kept: ")
    assert files(config) == before


@SEVERAL
@given(st.binary() | st.text().map(str.encode) | st.text("format=1\n[]{}\"'#.,- parmtes_").map(str.encode))
def test_whatever_stands_in_a_file_ends_in_a_preset_or_a_sentence(config, content):
    put(config / "presets" / "any.toml", content)
    put(config / "presets" / "more.toml", b"format = 1\n" + content)
    put(config / "controllers" / "more.toml", b"format = 1\n" + content)
    for use in (
        lambda: presets.preset("any"),
        lambda: presets.preset("more"),
        lambda: presets.save_preset("more", {"bypass": 1}, program=1, force=True),
        lambda: controller_files.load_controller("more"),
        lambda: keep_controller("more", {"binding": [{"control": "cc 7"}]}),
        lambda: controller_files.load_controller("another"),
    ):
        try:
            use()
        except BadInput as error:
            assert ".toml" in str(error)


# Disks


@pytest.mark.parametrize("module, name", ((os, "fsync"), (os, "replace")))
def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(config, monkeypatch, module, name):
    presets.save_preset("mine", {"bypass": 1})
    sessions.save_session("live", {"bypass": 1}, {})
    keep_controller("knobs", {"binding": []})
    before = files(config)
    monkeypatch.setattr(module, name, refuse(OSError(errno.ENOSPC, "No space left on device")))
    for write in (
        lambda: presets.save_preset("mine", {}, force=True),
        lambda: sessions.save_session("live", {}, {}),
        lambda: keep_controller("knobs", {"binding": [{"control": "cc 1"}]}),
        lambda: presets.export_preset("mine", config / "elsewhere.toml"),
    ):
        with pytest.raises(Unavailable, match=r"cannot write .*\.toml: No space left on device\."):
            write()
    assert files(config) == before


def test_a_file_is_whole_and_on_the_disk_before_it_takes_the_name(config, monkeypatch):
    presets.save_preset("mine", {"bypass": 1})
    path, synced, done = config / "presets" / "mine.toml", [], []
    before, fsync, replace = path.read_bytes(), os.fsync, os.replace

    def note_sync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        fsync(descriptor)

    def note_replace(source, target):
        assert synced == [(os.stat(source).st_ino, os.stat(source).st_size)]
        assert (Path(target), path.read_bytes(), Path(source).parent) == (path, before, path.parent)
        assert tomllib.loads(Path(source).read_text())["parameters"] == {"limiter": "on"}
        replace(source, target)
        done.append(target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    presets.save_preset("mine", {"limiter": 1}, force=True)
    assert len(done) == 1


def saved_in(config):
    """Each kind of file: its place, and what saves it."""
    return {
        config / "presets" / "gig.toml": lambda: presets.save_preset("gig", {"bypass": 1}, force=True),
        config / "sessions" / "live.toml": lambda: sessions.save_session("live", {"bypass": 1}, {}),
        config / "controllers" / "knobs.toml": lambda: keep_controller("knobs", {"feedback": True}),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("there", (True, False))
def test_files_that_are_links_into_dotfiles_stay_links_wherever_they_lead(config, tmp_path, there):
    for path, save in saved_in(config).items():
        target = tmp_path / "dotfiles" / path.name
        target.parent.mkdir(exist_ok=True)
        if there:
            target.write_text("# mine\nformat = 1\n")
            target.chmod(0o600)
        path.parent.mkdir(parents=True)
        path.symlink_to(os.path.relpath(target, path.parent))
        save()
        assert path.is_symlink() and target.read_text().startswith("# mine" if there else "format = 1")
        assert "bypass" in target.read_text() or "feedback = true" in target.read_text()
        assert not there or target.stat().st_mode & 0o777 == 0o600
    assert presets.preset("gig").values == sessions.load_session("live")[0] == {"bypass": 1}
    assert controller_files.load_controller("knobs")["feedback"]
    presets.delete_preset("gig")
    assert (tmp_path / "dotfiles" / "gig.toml").exists() and not (config / "presets" / "gig.toml").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_nowhere_is_in_nobodys_way(config, tmp_path):
    for kind in ("presets", "controllers"):
        (config / kind).mkdir(parents=True)
        (config / kind / "gone.toml").symlink_to(tmp_path / "not mounted" / "gone.toml")
    assert [each.name for each in presets.presets(pytest.fail)] == list(PRESETS)
    assert controller_files.load_controller("knobs") is None
    keep_controller("knobs", {"feedback": True})
    assert controller_files.load_controller("knobs")["feedback"]


UNREADABLE = {
    "bytes": lambda path: path.write_bytes(b'format = 1\nname = "caf\xe9"\n'),
    "UTF-16": lambda path: path.write_text("format = 1\n", "utf-16"),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "nested": lambda path: path.write_text("format = 1\na = " + "[" * 100_000),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_cannot_be_read_gets_a_sentence_and_is_never_replaced(config, kind):
    for path, save in saved_in(config).items():
        path.parent.mkdir(parents=True)
        UNREADABLE[kind](path)
        before = path.read_bytes() if path.is_file() else path.stat()
        for use in (
            save,
            lambda: presets.preset("gig"),
            lambda: presets.export_preset("gig", config / "elsewhere.toml"),
            partial(presets.import_preset, path, "other"),
            lambda: sessions.load_session("live"),
            lambda: controller_files.load_controller("knobs"),
            lambda: controller_files.load_controller("another"),
        ):
            try:
                use()
            except (BadInput, Unavailable) as error:
                assert str(path) in str(error) or "nothing to resume" in str(error) or "unknown preset" in str(error)
                assert str(error).isprintable() and str(error).endswith(".")
        with pytest.raises((BadInput, Unavailable), match=r"\.toml"):
            save()
        told = []
        presets.presets(told.append)
        assert len(told) == (path.parent.name == "presets")
        assert (path.read_bytes() if path.is_file() else path.stat()) == before
        path.rename(path.with_suffix(".away"))
        assert not any(found.suffix in (".part", ".toml") for found in config.rglob("*"))


def test_the_byte_that_is_no_utf_8_is_named_with_the_remedy(config):
    put(config / "presets" / "mine.toml", b"format = 1 # caf\xe9\n")
    with pytest.raises(BadInput, match=r"mine\.toml cannot be understood: byte 16 is no UTF-8\. Save it as UTF-8"):
        presets.preset("mine")


def test_a_folder_that_cannot_be_read_is_told_of(config, monkeypatch):
    monkeypatch.setattr(os, "scandir", refuse(PermissionError(errno.EACCES, "Permission denied")))
    for use in (lambda: presets.preset("mine"), lambda: controller_files.load_controller("knobs")):
        with pytest.raises(Unavailable, match=r"cannot read .*: Permission denied\."):
            use()


def test_a_preset_that_another_program_saves_meanwhile_is_not_replaced(config, monkeypatch):
    fsync = os.fsync

    def meanwhile(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)
        put(config / "presets" / "song.toml", "format = 1\n[parameters]\nbypass = 1\n")

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(BadInput, match="there is a preset 'song' already"):
        presets.save_preset("song", {"limiter": 1})
    assert presets.preset("song").values == {"bypass": 1}
    given = put(config / "given.toml", "format = 1\n")
    presets.delete_preset("song")
    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(BadInput, match="there is a preset 'song' already"):
        presets.import_preset(given, "song")
    assert presets.preset("song").values == {"bypass": 1}


def test_where_no_folder_can_be_made_saving_is_told_of_and_the_shipped_presets_are_there(config):
    config.write_text("a file")
    for save in (
        lambda: presets.save_preset("mine", {}),
        lambda: sessions.save_session("live", {}, {}),
        lambda: keep_controller("knobs", {}),
    ):
        with pytest.raises(Unavailable, match=r"cannot write .*\.toml: "):
            save()
    told = []
    assert [each.name for each in presets.presets(told.append)] == list(PRESETS) and told == []
    assert controller_files.load_controller("knobs") is None
    with pytest.raises(BadInput, match="nothing to resume yet"):
        sessions.load_session("live")
    assert config.read_text() == "a file"


def test_what_cannot_be_read_or_removed_is_told_of(config):
    (config / "presets" / "mine.toml").mkdir(parents=True)
    told = []
    assert len(presets.presets(told.append)) == len(PRESETS) and "cannot read" in told[0]
    with pytest.raises(Unavailable, match="cannot read"):
        presets.preset("mine")
    with pytest.raises(Unavailable, match="cannot remove"):
        presets.delete_preset("mine")


def test_the_folder_is_that_of_the_environment_or_that_of_the_system(config, monkeypatch):
    assert toml_files.folder() == config
    for unset in (lambda: monkeypatch.setenv("RTSEP_CONFIG", ""), lambda: monkeypatch.delenv("RTSEP_CONFIG")):
        unset()
        assert toml_files.folder() == Path(platformdirs.user_config_dir("rtsep", appauthor=False))


def test_help_need_not_wait_for_the_reader_of_files():
    heavy = "{'tomlkit', 'platformdirs', 'numpy', 'numba', 'rich'}"
    script = f"import sys, rtsep.live.presets, rtsep.live.sessions; print(*{heavy} & set(sys.modules))"
    root = Path(__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


# Sessions

SETTINGS = st.dictionaries(
    st.text(st.characters(codec="utf-8")),
    st.text(st.characters(codec="utf-8")) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    max_size=5,
)


@SEVERAL
@given(VALUES, SETTINGS)
def test_a_session_comes_back_as_it_was(values, settings):
    sessions.save_session("karaoke", values, settings)
    assert sessions.load_session("karaoke") == (values, settings, [])


def test_a_session_can_be_read_and_each_command_has_its_own(config):
    sessions.save_session("live", {"bypass": 1}, {"mode": "live", "input": 'USB "A"', "rate": 48000})
    assert (config / "sessions" / "live.toml").read_text() == (
        'format = 1\n\n[settings]\nmode = "live"\ninput = "USB \\"A\\""\nrate = 48000\n\n[parameters]\nbypass = "on"\n'
    )
    with pytest.raises(BadInput, match=r"nothing to resume yet: run rtsep karaoke first.*karaoke\.toml"):
        sessions.load_session("karaoke")


def test_settings_that_were_not_given_this_time_do_not_come_back():
    sessions.save_session("live", {}, {"mode": "live", "output": "USB"})
    sessions.save_session("live", {}, {"mode": "quality"})
    assert sessions.load_session("live") == ({}, {"mode": "quality"}, [])


def test_comments_and_what_is_unknown_stay_when_a_session_is_saved_again(config):
    text = MINE.removeprefix("\ufeff") + '\n[settings]\nmode = "live" # for the gig\n'
    path = put(config / "sessions" / "live.toml", text)
    values, settings, warnings = sessions.load_session("live")
    assert (settings, len(warnings)) == ({"mode": "live"}, 1) and "'percussion'" in warnings[0]
    sessions.save_session("live", values, settings)
    assert path.read_text() == text
    sessions.save_session("live", values, {"mode": "quality"})
    assert path.read_text() == text.replace('"live" #', '"quality" #')


@pytest.mark.parametrize("setting", ("[1]", "{a = 1}", "2026-01-01"))
def test_settings_are_texts_and_numbers(config, setting):
    put(config / "sessions" / "live.toml", f"format = 1\n[settings]\nmode = {setting}\n")
    with pytest.raises(BadInput, match=r"live\.toml: mode is .*: it must be a text or a number"):
        sessions.load_session("live")


def kept(parameters):
    """What a session keeps of `parameters`: all but what passes by itself."""
    return {id: value for id, value in parameters.snapshot().items() if id not in ("output.mute", "melody.duck")}


def test_a_session_is_kept_at_most_once_in_a_second_and_only_if_something_changed(config):
    parameters = fresh()
    path = config / "sessions" / "live.toml"
    session = Session("live", parameters, {"mode": "live"}, pytest.fail)
    session.tick(100)
    assert sessions.load_session("live") == (kept(parameters), {"mode": "live"}, [])
    for now, value, there in ((100.1, -1, 0), (100.9, -2, 0), (101, -3, -3), (101.5, -4, -3), (102.1, -5, -5)):
        parameters["melody.gain_db"] = value
        session.tick(now)
        assert sessions.load_session("live")[0]["melody.gain_db"] == there
    path.unlink()
    session.tick(110)
    assert not path.exists()
    parameters["melody.gain_db"] = -6
    session.close()
    assert sessions.load_session("live")[0] == kept(parameters)
    path.unlink()
    parameters["melody.gain_db"] = -7
    session.tick(120)
    assert not path.exists() or pytest.fail("it still listens")


def test_two_runs_at_once_keep_what_each_has_moved(config):
    one, other = fresh(), fresh()
    first, second = (Session("live", each, {}, pytest.fail) for each in (one, other))
    for session in (first, second):
        session.tick(0)
    one["melody.gain_db"], other["harmony.gain_db"] = -3, -6
    for session in (first, second):
        session.tick(1)
    path = config / "sessions" / "live.toml"  # and somebody has an editor
    path.write_text(path.read_text().replace('"bypass" = "off"', "").replace('bypass = "off"', "bypass = true # so"))
    one["percussive.gain_db"] = -9
    first.close()
    second.close()
    values = sessions.load_session("live")[0]
    found = {id: value for id, value in values.items() if value != fresh()[id].value}
    assert found == {"melody.gain_db": -3, "harmony.gain_db": -6, "percussive.gain_db": -9, "bypass": 1}
    assert "bypass = true # so" in path.read_text()
    Session("live", fresh(), {}, pytest.fail).close()  # the next run begins anew
    assert sessions.load_session("live")[0] == kept(fresh())


def test_a_session_that_never_ticked_is_kept_at_its_end():
    parameters = fresh()
    Session("karaoke", parameters, {}, pytest.fail).close()
    assert sessions.load_session("karaoke") == (kept(parameters), {}, [])


def test_a_change_while_the_session_is_written_is_kept_with_the_next(monkeypatch):
    parameters = fresh()
    session = Session("live", parameters, {}, pytest.fail)
    fsync = os.fsync

    def meanwhile(descriptor):
        fsync(descriptor)
        monkeypatch.setattr(os, "fsync", fsync)
        parameters["melody.gain_db"] = -9

    monkeypatch.setattr(os, "fsync", meanwhile)
    session.tick(0)
    assert sessions.load_session("live")[0]["melody.gain_db"] == 0
    session.tick(1)
    assert sessions.load_session("live")[0]["melody.gain_db"] == -9


def test_a_panic_and_the_rest_of_the_guide_are_no_part_of_a_session(config):
    parameters = fresh()
    session = Session("karaoke", parameters, {}, pytest.fail)
    session.tick(0)
    (config / "sessions" / "karaoke.toml").unlink()
    parameters.update({"melody.duck": "on"}, by="duck")
    parameters.update({"output.mute": "on"}, by="midi")
    session.tick(2)
    assert not (config / "sessions" / "karaoke.toml").exists()
    parameters.update({"key.semitones": 2, "output.mute": "off"}, by="terminal")
    session.close()
    values = sessions.load_session("karaoke")[0]
    assert values["key.semitones"] == 2 and not {"output.mute", "melody.duck"} & set(values)


def test_a_session_that_cannot_be_kept_is_told_of_once_and_kept_as_soon_as_it_can(config):
    config.write_text("a file")
    parameters, told = fresh(), []
    session = Session("live", parameters, {"mode": "live"}, told.append)
    for now in range(5):
        parameters["melody.gain_db"] = -now
        session.tick(now)
    assert len(told) == 1 and told[0].startswith("the session is not kept: cannot write ")
    config.unlink()
    session.tick(5)
    assert sessions.load_session("live")[0] == kept(parameters) and len(told) == 1
    session.close()


def test_a_file_name_that_is_no_text_keeps_no_session_and_disturbs_nothing(config):
    told = []
    session = Session("live", fresh(), {"input": "song \udcff.wav"}, told.append)
    session.tick(0)
    session.close()
    assert len(told) == 1 and "cannot be written as text" in told[0] and told[0].isprintable()
    assert files(config) == {}


# Controllers

KNOBS = """# My knobs
format = 1
ports = ["Knobs", "Other knobs"] # both of them
feedback = true # lights
color = "red"

# the mix
[[binding]]
control = "cc 0"
parameter = "melody.gain_db"
low = -inf

[[binding]]
control = "cc 1"
parameter = "melody.mute"

[lights]
a = 1
"""


@pytest.mark.parametrize("map", sorted(MAPS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_maps_are_found_by_a_part_of_the_port_in_any_case(map):
    content = tomllib.loads(map.read_text("utf-8"))
    for part in content["ports"]:
        for port in (part, f"  usb {part.upper()} MIDI 1", f"{part.lower()}:x 2"):
            assert controller_files.load_controller(port) == content
    assert controller_files.load_controller("Some synthesizer") is None


def test_the_users_file_comes_before_ours_and_its_name_before_its_ports(config):
    put(config / "controllers" / "mine.toml", 'format = 1\nports = ["kontrol"]\nwhich = 1\n')
    assert controller_files.load_controller("nanoKONTROL2 CTRL")["which"] == 1
    put(config / "controllers" / "nanokontrol2 ctrl.toml", 'format = 1\nports = ["other"]\nwhich = 2\n')
    assert controller_files.load_controller("nanoKONTROL2 CTRL")["which"] == 2
    assert controller_files.load_controller("nanoKONTROL2 2")["which"] == 1
    assert controller_files.load_controller("the Other")["which"] == 2


def test_the_longest_part_of_the_ports_name_decides(config):
    for which, part in (("a", "Launch Control XL"), ("b", "Launch Control"), ("c", "")):
        put(config / "controllers" / f"{which}.toml", f'format = 1\nports = ["{part}"]\nwhich = "{which}"\n')
    ports = ("Launch Control XL MIDI 1", "Launch Control MIDI 1", "Keyboard")
    assert [controller_files.load_controller(port)["which"] for port in ports] == ["a", "b", "c"]


def test_a_saved_controller_comes_back_for_its_port_alone(config):
    document = {
        "format": 1,
        "feedback": False,
        "binding": [
            {"control": "cc 7", "parameter": "melody.gain_db", "low": -math.inf, "high": 0.0, "invert": True},
            {"control": "note 36", "channel": 10, "parameter": "no.such", "kind": "toggle", "unknown": [1, 2]},
        ],
    }
    keep_controller("Box:Box MIDI 1", document)
    assert controller_files.load_controller("Box:Box MIDI 1") == document
    assert controller_files.load_controller("Box:Box MIDI 1 2") is None
    keep_controller("Box:Box MIDI 1 2", {"binding": []})
    assert controller_files.load_controller("Box:Box MIDI 1") == document
    assert sorted(files(config)) == ["controllers/Box_Box MIDI 1 2.toml", "controllers/Box_Box MIDI 1.toml"]


def test_what_another_program_says_of_a_controller_meanwhile_is_seen(config, monkeypatch):
    seen = []

    def change(document):
        if not seen:
            put(config / "controllers" / "Box.toml", "format = 1\nbinding = [1]\n")
        seen.append(document)
        return {"feedback": True}

    controller_files.update_controller("Box", change)
    assert seen == [None, {"format": 1, "binding": [1]}]
    assert controller_files.load_controller("Box") == {"format": 1, "binding": [1], "feedback": True}


def test_a_controller_that_is_not_there_is_known_by_a_part_of_its_name(config):
    keep_controller("Fader", {"feedback": True}, part=True)
    keep_controller("Box:Box 1", {"feedback": True})
    assert controller_files.load_controller("USB fader box:1") == {"format": 1, "ports": ["Fader"], "feedback": True}
    keep_controller("USB fader box:1", {"feedback": False}, part=True)
    assert sorted(files(config)) == ["controllers/Box_Box 1.toml", "controllers/Fader.toml"]
    own, ours = controller_files.known_controllers()
    assert own == {"Box_Box 1": [], "Fader": ["Fader"]} and ours["nanoKONTROL2"] == ["nanoKONTROL2"]
    assert controller_files.controller_path("USB fader box:1") == config / "controllers" / "Fader.toml"
    assert controller_files.controller_path("nanoKONTROL2 CTRL") == MAPS / "nanokontrol2.toml"
    assert controller_files.controller_path("Some synthesizer") is None


def test_a_stamp_differs_once_a_controller_was_saved_or_deleted(config):
    stamps = [controller_files.controllers_stamp()]
    for feedback in (True, False):
        keep_controller("Box", {"feedback": feedback})
        stamps.append(controller_files.controllers_stamp())
        assert controller_files.controllers_stamp() == stamps[-1]
    (config / "controllers" / "Box.toml").unlink()
    assert controller_files.controllers_stamp() == stamps[0] and len({str(stamp) for stamp in stamps}) == 3


def test_comments_and_what_is_unknown_stay_when_a_controller_is_saved_again(config):
    path = put(config / "controllers" / "mine.toml", KNOBS)
    document = controller_files.load_controller("USB knobs 1")
    assert document == tomllib.loads(KNOBS)
    keep_controller("USB knobs 1", {key: document[key] for key in ("format", "feedback", "binding")})
    assert path.read_text() == KNOBS
    keep_controller("USB knobs 1", {"feedback": False, "binding": [{"control": "cc 9", "parameter": "bypass"}]})
    begin, end = KNOBS.index("[[binding]]"), KNOBS.index("[lights]")
    assert path.read_text() == (
        KNOBS[:begin].replace("true", "false") + '[[binding]]\ncontrol = "cc 9"\nparameter = "bypass"\n' + KNOBS[end:]
    )
    keep_controller("USB knobs 1", {"binding": []})
    assert controller_files.load_controller("USB knobs 1") == document | {"feedback": False, "binding": []}
    assert "# My knobs" in path.read_text() and list(files(config)) == ["controllers/mine.toml"]


def test_bindings_that_stay_keep_their_comments_when_others_come_and_go(config):
    entries = [f'# {name}\n[[binding]]\ncontrol = "cc {i}" # {name}\n\n' for i, name in enumerate("abcd")]
    path = put(config / "controllers" / "Box.toml", "format = 1\n\n" + "".join(entries) + "[lights]\na = 1\n")
    bound = controller_files.load_controller("Box")["binding"]
    new = {"control": "cc 9"}
    keep_controller("Box", {"binding": [*bound, new]})
    assert path.read_text() == "format = 1\n\n" + "".join(entries) + '[[binding]]\ncontrol = "cc 9"\n[lights]\na = 1\n'
    keep_controller("Box", {"binding": [bound[0], bound[3], new]})
    text = path.read_text()
    assert all(f"# {name}\n" in text for name in "ad") and text.index("# d\n[[binding]]") < text.index('"cc 3" # d')
    assert controller_files.load_controller("Box")["binding"] == [bound[0], bound[3], new]
    for bindings in ([new, bound[0]], [], [bound[1]]):  # whatever else
        keep_controller("Box", {"binding": bindings})
        assert controller_files.load_controller("Box") == {"format": 1, "binding": bindings, "lights": {"a": 1}}


@pytest.mark.parametrize("text, sentence", BROKEN, ids=range(len(BROKEN)))
def test_a_controllers_file_that_cannot_be_understood_is_told_of_and_never_replaced(config, text, sentence):
    put(config / "controllers" / "mine.toml", text)
    before = files(config)
    for port in ("mine", "nanoKONTROL2"):  # whose file it is cannot be known
        for use in (controller_files.load_controller, lambda port: keep_controller(port, {"binding": []})):
            with pytest.raises(BadInput, match=r"mine\.toml " + sentence):
                use(port)
    assert files(config) == before


@pytest.mark.parametrize("ports", ('"Knobs"', "[1]", "3"))
def test_ports_are_a_list_of_texts(config, ports):
    put(config / "controllers" / "mine.toml", f"format = 1\nports = {ports}\n")
    with pytest.raises(BadInput, match=r"mine\.toml: ports is .*: it must be parts of port names"):
        controller_files.load_controller("Knobs")


@pytest.mark.parametrize(
    "port", ("../../x", "a/b:c\\d", "..", "", " ", "CON ", "com1", "\0", "a\nb", 'x"y', "Клавиши 日本")
)
def test_a_port_of_any_name_has_a_file_in_the_folder(config, tmp_path, port):
    keep_controller(port, {"feedback": True})
    assert controller_files.load_controller(port) == {"format": 1, "feedback": True}
    (name,) = files(tmp_path)
    assert Path(name).parent == Path("config/controllers")
    assert not {*Path(name).stem} & {*'<>:"/\\|?*\0\n.'} and Path(name).stem.lower().strip() not in ("", "con", "com1")
