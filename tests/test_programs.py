"""The benchmarks behind the documentation's figures, and the examples, run: on little, but whole."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from signals import tune

from rtsep.library import warm_up
from rtsep.offline.files import SONG
from rtsep.settings import STEMS

ROOT = Path(__file__).parent.parent


def run(script, *arguments, **options):
    warm_up()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, arguments, titles",
    [
        (
            "stages.py",
            ["--seconds", "0.6", "--runs", "1"],
            ["hop: live", "hop: quality", "all, learned", "all, classic", "by network: comb", "Medians", "A whole"],
        ),
        (
            "engine.py",
            [
                "--seconds",
                "0.3",
                "--runs",
                "1",
                "--modes",
                "live",
                "--rates",
                "8000",
                "--channels",
                "1",
                "--skip-start",
            ],
            ["Latency in samples", "State of a stereo engine", "In detail", "balanced, classic", "Share of one core"],
        ),
        ("callback.py", ["--seconds", "0.2"], ["Blocks of 128 lost"]),
        ("nmf.py", ["--seconds", "1", "--runs", "1"], ["The default solver"]),
        ("midi.py", ["--seconds", "1", "--messages", "3"], []),
    ],
)
def test_a_benchmark_of_speed_prints_its_tables(script, arguments, titles):
    printed = run(f"benchmarks/{script}", *arguments)
    assert [title for title in titles if title not in printed] == []


@pytest.fixture
def data(tmp_path):
    """A folder of measuring material with the bundled song in it."""
    item = tmp_path / "data" / "con_bundled_song"
    item.mkdir(parents=True)
    stems = [{"role": name, "file": f"{name}.ogg", "channels": 2} for name in SONG]
    (item / "meta.json").write_text(json.dumps({"channels": 2, "sample_rate": 48000, "stems": stems}))
    for name in SONG:
        (item / f"{name}.ogg").symlink_to(ROOT / "rtsep" / "song" / f"{name}.ogg")
    rows = [f"{time / 100:.2f},{440 if time > 150 else 0}" for time in range(300)]
    (item / "f0.csv").write_text("\n".join(["time_s,f0_hz", *rows]))
    return tmp_path / "data"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script, arguments, figures, files",
    [
        ("quality.py", [], 10, {"quality.md", "quality.png"}),  # mixture, four modes, classic, librosa, oracle
        ("lead.py", ["--seconds", "2"], 11, {"lead.md"}),  # mixture, three modes and true F0 twice, cascade, oracle
        ("rates.py", ["--seconds", "1", "--rates", "16000", "48000", "--items", "song"], 0, {"rates.md"}),
        ("melody.py", ["--seconds", "2", "--no-pyin"], 14, {"melody.md"}),  # seven of ours, three figures each
        ("hum.py", ["--hums", "1", "--songs", "20"], 0, {"hum.md"}),
    ],
)
def test_a_benchmark_of_quality_prints_its_table(tmp_path, data, script, arguments, figures, files):
    printed = run(f"benchmarks/{script}", data, "--out", tmp_path, *arguments)
    row = next(line for line in printed.splitlines() if "con_bundled_song" in line)
    assert row.count("/") >= figures
    assert files <= {path.name for path in tmp_path.iterdir()}


def test_items_that_a_method_makes_worse_are_named(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from items import worse

    figures = {
        "one": {"mixture": (5.0, -5.0), "ours": (4.5, 1.0), "theirs": (6.0, 0.0)},
        "two": {"mixture": (5.0, -5.0), "ours": (5.0, -6.0), "theirs": (6.0, 0.0)},
        "no truth": {"mixture": (5.0, -5.0), "ours": (np.nan, np.nan), "theirs": (6.0, 0.0)},
    }
    _, header, rows = worse(("harmonic", "percussive"), figures)
    assert header[1:] == ["harmonic", "percussive"]
    assert rows == [["ours", "one (-0.5)", "two (-1.0)"], ["theirs", "none", "none"]]


@pytest.mark.slow
def test_without_a_group_of_inputs_networks_do_worse(tmp_path, data):
    printed = run("benchmarks/ablation.py", data, "--out", tmp_path, "--seconds", "2")
    row = next(line for line in printed.splitlines() if "without frequency" in line)
    assert row.count(" -") == 4 and "without spectrum" in printed and (tmp_path / "ablation.md").exists()


def test_masks_are_drawn(tmp_path, data):
    run("benchmarks/pictures.py", data, "--out", tmp_path, "--seconds", "1")
    assert (tmp_path / "con_bundled_song.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_benchmark_of_parts_prints_its_tables(tmp_path):
    random, time_s = np.random.default_rng(1), np.arange(24_000) / 48_000
    hits = {"kick": np.sin(2 * np.pi * 60 * time_s), "snare": np.sin(2 * np.pi * 300 * time_s) ** 9}
    hits["hihat"] = random.standard_normal(24_000) / 8
    folder = tmp_path / "data" / "con_drums"
    folder.mkdir(parents=True)
    for number, (name, hit) in enumerate(hits.items()):
        played = np.roll(np.tile(hit * np.exp(-time_s / 0.03), 4), number * 8000)
        soundfile.write(folder / f"{name}.wav", 0.3 * played, 48_000)
    stems = [{"role": name, "file": f"{name}.wav", "channels": 1} for name in hits]
    (folder / "meta.json").write_text(json.dumps({"channels": 1, "sample_rate": 48000, "stems": stems}))
    arguments = tmp_path / "data", "--out", tmp_path, "--seconds", "0.5", "--runs", "1"
    printed = run("benchmarks/parts.py", *arguments)
    row = next(line for line in printed.splitlines() if "con_drums" in line)
    assert row.count("/") == 2 * 9 and "40 components" in printed and (tmp_path / "parts.md").exists()


def test_the_engine_runs_in_the_loop_of_the_example():
    assert "block 500: percussive" in run("examples/engine_in_your_loop.py")


def test_the_example_for_a_file_writes_its_stems(tmp_path):
    printed = run("examples/file_into_stems.py", ROOT / "rtsep" / "song" / "drums.ogg", tmp_path)
    assert "percussive" in printed and len(list(tmp_path.glob("*.wav"))) == len(STEMS)


@pytest.mark.slow
def test_the_benchmark_of_phases_prints_its_tables():
    printed = run("benchmarks/phase.py", "--seconds", "1")
    assert "rtisi-la, 4 ahead" in printed and "misi, 50 rounds" in printed and "as separated" in printed


@pytest.mark.slow
def test_un_mixing_cleans_the_chords_under_loud_drums():
    printed = run("examples/experiments/clean_features.py", "12")
    right = {name.strip(): float(value) for name, value in re.findall(r"^(.{25}) +([\d.]+) ", printed, re.MULTILINE)}
    assert right["the mix"] + 10 < right["balanced: harmony"] <= 100


@pytest.mark.slow
def test_the_more_is_known_of_a_piano_the_better_its_hands_come_apart():
    printed = run("examples/experiments/constraints_on_a_piano.py")
    rows = re.findall(r"^(.{30}) +(-?[\d.]+) +(-?[\d.]+)$", printed, re.MULTILINE)
    lower = {name.strip(): float(lower) for name, lower, _ in rows}
    known = ["nothing", "the overtones of each pitch", "spectra of other pianos", "the score", "(ratio mask)"]
    assert [lower[name] for name in known] == sorted(lower[name] for name in known)
    assert lower["the score, 0.5 s late"] + 5 < lower["the score"]


def test_the_live_example_turns_the_drums_down():
    printed = run("examples/drums_down_live.py", "virtual", input="-6\nloud\nq\n")
    assert "drums are at -6.0 dB" in printed and "percussive.gain_db is 'loud'" in printed and "xruns" in printed


def test_the_melody_example_prints_the_notes_of_the_song_until_it_is_interrupted():
    warm_up()
    command = [sys.executable, str(ROOT / "examples" / "follow_melody.py"), "virtual"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(4)]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0 and errors == "", errors
    assert "Ctrl-C ends" in lines[0]
    assert all(re.fullmatch(r" +\d+\.\d\d s  [A-G]#?\d +[+-]\d+ cents\n", line) for line in lines[1:]), lines


def test_the_karaoke_example_writes_the_song_in_another_key(tmp_path):
    soundfile.write(tmp_path / "song.wav", tune(48_000, 48_000, (440,)), 48_000)
    printed = run("examples/karaoke_file.py", tmp_path / "song.wav", tmp_path / "out.wav", "-12", "0")
    assert "-12 semitones" in printed
    sound, rate = soundfile.read(tmp_path / "out.wav")
    assert len(sound) == rate == 48_000
    middle = sound[12_000:36_000] * np.hanning(24_000)
    assert abs(np.abs(np.fft.rfft(middle)).argmax() * rate / 24_000 - 220) < 5


@pytest.mark.slow
def test_the_experiment_with_seven_notes_finds_them_by_nmf_alone():
    printed = run("examples/experiments/seven_components.py")
    found = dict(re.findall(r"^(\w[\w ]*)\n +1 .*?mean (-?[\d.]+) dB; (?:\d) of 7", printed, re.MULTILINE | re.DOTALL))
    assert list(found) == ["nmf", "snpa", "greedy", "snpa of typical frames"]
    assert float(found["nmf"]) > 10 > float(found["snpa of typical frames"]) > float(found["snpa"])


@pytest.mark.slow
def test_the_experiment_with_losses_prints_and_draws_them(tmp_path):
    printed = run("examples/experiments/loss_curves.py", "--updates", "3", "--picture", tmp_path / "curves.png")
    rows = [line.split()[-3:] for line in printed.splitlines()[1:5]]
    assert all(float(last) < float(first) for first, _, last in rows)
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.slow
def test_the_benchmark_of_factorizations_prints_its_ratios():
    printed = run("benchmarks/factorize.py", "--updates", "3", "--runs", "1")
    assert re.findall(r"^\| (\d+) ", printed, re.MULTILINE) == ["7", "20", "88"]


def figures_of(printed):
    """The rows of a table, by the words that they begin with."""
    return {
        found[1].strip(): [float(each) for each in found[2].split()]
        for found in re.finditer(r"^(\S.*?)((?: +-?[\d.]+)+)$", printed, re.MULTILINE)
    }


@pytest.mark.slow
def test_templates_that_last_tell_drums_apart(tmp_path):
    rows = figures_of(run("examples/experiments/drum_loop.py"))
    assert all(nmfd > nmf > mix for mix, nmf, nmfd in zip(rows["the loop"], rows["nmf"], rows["nmfd"], strict=True))
