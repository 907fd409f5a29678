"""hum: contours, their alignment, and an index that finds what is hummed, sung or whistled."""

import json
import subprocess
import sys

import numpy as np
import pytest
import signals
import soundfile

from rtsep.__main__ import main
from rtsep.errors import BadInput, Unavailable
from rtsep.offline import hum, hum_search
from rtsep.offline.hum import Index, Song, add_files, contour, contour_of, load
from rtsep.offline.hum_search import STEP_S, subsequence_dtw
from rtsep.offline.render import Melody

RATE = 16_000
WARP = 0.16
SCALE = (0, 2, 4, 5, 7, 9, 11)
TUNES = {
    "rise": (220, 247, 277, 294, 330, 370, 330, 440),
    "leap": (330, 220, 330, 247, 440, 392, 220, 294),
    "turn": (262, 294, 262, 247, 262, 349, 330, 262),
}


def melody(random, seconds=60):
    """MIDI numbers (frames of 10 ms,) of a tune that walks along a scale, 0 where it rests."""
    notes, degree = [], 0
    while sum(map(len, notes)) < 100 * seconds:
        degree = int(np.clip(degree + random.integers(-3, 4), -5, 9))
        pitch = 60 + 12 * (degree // 7) + SCALE[degree % 7]
        notes.append(np.full(int(random.choice([20, 30, 30, 60])), 0 if random.random() < 0.1 else pitch))
    return np.concatenate(notes)[: int(100 * seconds)].astype(float)


def heard(pitch):
    """The contour of MIDI numbers (frames of 10 ms,)."""
    f0 = np.where(pitch > 0, 440 * 2 ** ((pitch - 69) / 12), 0).astype(np.float32)
    return contour_of(Melody(np.arange(len(f0)) / 100, f0, np.ones_like(f0)))


def at_tempo(pitch, tempo):
    return pitch[(np.arange(int(len(pitch) / tempo)) * tempo).astype(int)]


@pytest.fixture(scope="module")
def melodies():
    random = np.random.default_rng(1)
    return [melody(random) for _ in range(100)]


@pytest.fixture(scope="module")
def index(melodies):
    return Index({f"song {number}": Song(heard(pitch)) for number, pitch in enumerate(melodies)})


def aligned_by_loops(costs):
    """Sum, first and last frame of the best path through `costs` (frames of the query, frames of the song)."""
    rows, columns = costs.shape
    best = {(0, column): (costs[0, column], column) for column in range(columns)}
    for row in range(1, rows):
        for column in range(columns):
            ways = []
            if (row - 1, column - 1) in best:
                total, first = best[row - 1, column - 1]
                ways.append((total + costs[row, column], first))
            if (row - 1, column - 2) in best:
                total, first = best[row - 1, column - 2]
                ways.append((total + WARP + costs[row, column], first))
            if (row - 2, column - 1) in best:
                total, first = best[row - 2, column - 1]
                ways.append((total + WARP + costs[row - 1, column] + costs[row, column], first))
            if ways:
                best[row, column] = min(ways)
    total, first, last = min(
        (*best[rows - 1, column], column) for column in range(columns) if (rows - 1, column) in best
    )
    return total, first, last


@pytest.mark.parametrize("seed", range(5))
def test_paths_are_those_of_a_plain_double_loop(seed):
    random = np.random.default_rng(seed)
    costs = random.random((int(random.integers(1, 15)), 6, int(random.integers(15, 40)))).astype(np.float32)
    sums, first, last = subsequence_dtw(costs)
    for song in range(6):
        total, begin, end = aligned_by_loops(costs[:, song].astype(float))
        assert sums[song] == pytest.approx(total, abs=1e-5)
        assert (first[song], last[song]) == (begin, end)


def test_a_frame_costs_as_far_as_it_is_off_octaves_aside():
    pitches = np.arange(1, 242, dtype=np.uint8)
    (costs,) = hum_search._costs(hum_search._CLASSES[pitches][np.newaxis], np.array([103], np.uint8))
    for pitch, cost in zip(pitches.tolist(), costs[0], strict=True):
        off = min(abs(pitch - 103 + 48 * octave) for octave in range(-4, 5)) / 4
        assert cost == min(off / 2, 1)
    (missing,) = hum_search._costs(np.full((1, 1), 255, np.uint8), np.array([103], np.uint8))
    (rest,) = hum_search._costs(np.full((1, 1), 20, np.uint8), np.array([0], np.uint8))
    assert missing[0, 0] == 0.5 and rest[0, 0] == 0


def test_a_contour_has_medians_of_what_is_mostly_voiced():
    f0 = np.zeros(60, np.float32)
    f0[:10] = 55
    f0[10:20] = [440] * 6 + [110] * 4  # mostly 440 Hz
    f0[20:25] = 220  # half of it
    f0[30:34] = 220  # less
    f0[40:50] = 440 * 2 ** (0.26 / 12)
    f0[50:55] = 5000
    found = contour_of(Melody(np.arange(60) / 100, f0, np.ones_like(f0)))
    assert found.tolist() == [1, 1 + 4 * 36, 1 + 4 * 24, 0, 1 + 4 * 36 + 1, 255]
    assert len(contour_of(Melody(np.zeros(0), np.zeros(0, np.float32), np.zeros(0, np.float32)))) == 0


@pytest.mark.parametrize("key", (-5, 0, 2.5))
@pytest.mark.parametrize("tempo", (0.8, 1.0, 1.25))
def test_a_query_is_found_in_any_key_and_tempo(melodies, index, key, tempo):
    for number in range(0, 100, 50):
        excerpt = melodies[number][1500:2500]
        first = np.flatnonzero(excerpt)[0] / 100
        found = index.search(heard(np.where((part := at_tempo(excerpt, tempo)) > 0, part + key, 0)))[0]
        assert found.song == f"song {number}"
        assert found.start_s == pytest.approx(15 + first, abs=0.5)
        assert found.end_s == pytest.approx(25, abs=1.2)
        assert found.semitones == pytest.approx(key, abs=0.51)


@pytest.mark.parametrize("damage", ("vibrato and drift", "wrong notes", "octaves", "gaps", "uneven tempo"))
def test_a_query_is_found_as_people_hum(melodies, index, damage):
    random = np.random.default_rng(2)
    ranks = []
    for number in range(0, 100, 20):
        excerpt = at_tempo(melodies[number][1000:2200], (0.77, 1.29)[number % 40 // 20])
        if damage == "uneven tempo":
            excerpt = excerpt[np.cumsum(1 + 0.3 * np.sin(np.arange(700) / 100)).astype(int).clip(max=len(excerpt) - 1)]
        count = len(excerpt)
        pitch = {
            "vibrato and drift": excerpt + 0.5 * np.sin(np.arange(count) / 3) + np.linspace(-0.7, 0.7, count),
            "wrong notes": excerpt + np.repeat(random.choice([0, 0, 0, 0, 0, 0, 2, -1], -(-count // 40)), 40)[:count],
            "octaves": excerpt + 12 * np.repeat(random.integers(-1, 2, -(-count // 60)), 60)[:count],
            "gaps": np.where(np.repeat(random.random(-(-count // 25)) < 0.25, 25)[:count], 0, excerpt),
            "uneven tempo": excerpt,
        }[damage]
        names = [match.song for match in index.search(heard(np.where(excerpt > 0, pitch, 0)), top=100)]
        ranks.append(names.index(f"song {number}") + 1 if f"song {number}" in names else np.inf)
    assert np.mean(1 / np.array(ranks)) > 0.9


def test_each_song_is_listed_once_best_first_and_no_more_than_asked_for(melodies, index):
    query = heard(melodies[7][:1000])
    found = index.search(query, top=3)
    assert found[0].song == "song 7"
    assert len({match.song for match in found}) == 3
    assert found == sorted(found, key=lambda match: -match.score)
    assert 0.9 < found[0].score <= 1.05
    assert found == index.search(query)[:3]
    assert Index().search(query) == []


def test_of_a_long_query_the_part_with_most_melody_counts(melodies, index):
    noise = np.random.default_rng(4).choice([0, 0, 0, 60, 66, 71], 60).repeat(25)
    query = np.concatenate([noise, np.zeros(300), melodies[30][2000:3500]])
    found = index.search(heard(query))[0]
    assert found.song == "song 30" and found.start_s == pytest.approx(20, abs=1.5)


def test_a_query_with_hardly_any_melody_is_refused(index):
    with pytest.raises(BadInput, match=r"1\.5 s of melody .* at least 3 s"):
        index.search(np.repeat(np.uint8(80), 15))
    with pytest.raises(BadInput, match=r"0\.0 s of melody"):
        index.search(np.zeros(0, np.uint8))


@pytest.fixture
def songs(tmp_path):
    """A folder of songs, a voice over chords and hits."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for name, pitches in TUNES.items():
        samples = int(RATE * 0.4 * len(pitches))
        sound = signals.tune(samples, RATE, pitches, 0.4) + 0.2 * signals.music(samples, RATE)
        soundfile.write(folder / f"{name}.wav", sound, RATE)
    return folder


@pytest.fixture
def hummed(tmp_path):
    """The tune "leap", a third lower and a little slower."""
    path = tmp_path / "me.wav"
    sound = signals.tune(int(RATE * 3.6), RATE, [pitch * 2 ** (-4 / 12) for pitch in TUNES["leap"]], 0.45)
    soundfile.write(path, sound, RATE)
    return path


def test_songs_are_added_found_and_followed_again_only_if_they_changed(songs, hummed, tmp_path, monkeypatch):
    index = tmp_path / "songs.hum"
    reports = add_files(index, [songs], jobs=2)
    assert [(report.kept, report.error) for report in reports] == [(False, None)] * 3
    assert {*load(index).songs} == {str(songs / f"{name}.wav") for name in TUNES}
    best = load(index).search(contour(hummed))[0]
    assert best.song == str(songs / "leap.wav") and best.semitones == pytest.approx(-4, abs=0.51)

    followed = []
    follow = hum._followed
    monkeypatch.setattr(
        hum, "_followed", lambda reader, stop: followed.append(reader.path.name) or follow(reader, stop)
    )
    (songs / "rise.wav").rename(songs / "renamed.wav")
    soundfile.write(songs / "turn.wav", signals.tune(3 * RATE, RATE, TUNES["rise"][::-1], 0.4), RATE)
    before = load(index).songs[str(songs / "turn.wav")]
    reports = add_files(index, [songs])
    assert [report.kept for report in reports] == [True, True, False] and followed == ["turn.wav"]
    after = load(index)
    assert {*after.songs} == {str(songs / f"{name}.wav") for name in ("leap", "renamed", "turn")}
    assert not np.array_equal(after.songs[str(songs / "turn.wav")].contour, before.contour)
    add_files(index, [songs / "leap.wav"], force=True)
    assert followed == ["turn.wav", "leap.wav"]


def test_an_interrupt_keeps_what_was_followed_and_others_may_add_meanwhile(songs, tmp_path, monkeypatch):
    index, other = tmp_path / "songs.hum", Song(np.full(30, 50, np.uint8))
    follow = hum._followed

    def interrupted(reader, stop):
        if reader.path.name == "turn.wav":
            Index({"of somebody else": other}).save(index)
            raise KeyboardInterrupt
        return follow(reader, stop)

    monkeypatch.setattr(hum, "_followed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_files(index, [songs])
    assert {*load(index).songs} == {"of somebody else", str(songs / "leap.wav"), str(songs / "rise.wav")}


def test_an_index_comes_back_from_its_file_as_it_was(tmp_path):
    songs = {"a": Song(np.arange(7, dtype=np.uint8), "x"), "nameless \udcff": Song(np.zeros(0, np.uint8))}
    Index(songs).save(tmp_path / "some")
    found = load(tmp_path / "some").songs
    assert [*found] == [*songs]
    for name, song in songs.items():
        assert found[name].contour.tolist() == song.contour.tolist() and found[name].made_of == song.made_of
    Index().save(tmp_path / "none")
    assert load(tmp_path / "none").songs == {}


def test_ten_thousand_songs_take_some_tens_of_megabytes():
    contour = np.zeros(int(240 / STEP_S), np.uint8)
    assert len(Index({f"/music/{number}": Song(contour, "0" * 64) for number in range(100)}).content()) < 500_000


def test_the_command_lists_what_is_found(songs, hummed, tmp_path, capsys):
    index = str(tmp_path / "songs.hum")
    assert main(["hum", "add", index, str(songs)]) == 0
    shown = capsys.readouterr()
    assert shown.out.split() == [str(songs / f"{name}.wav") for name in sorted(TUNES)]
    assert "3 songs added, 0 were known, 0 failed" in shown.err
    assert main(["hum", "add", index, str(songs)]) == 0
    assert "0 songs added, 3 were known" in capsys.readouterr().err
    assert main(["hum", "find", index, str(hummed), "--top", "2"]) == 0
    first, best, second = capsys.readouterr().out.splitlines()
    assert (
        first == str(hummed) and best.endswith("leap.wav") and "4 semitones lower" in best and second.startswith("   2")
    )
    assert main(["hum", "find", index, str(hummed), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["query"] == str(hummed) and len(found["matches"]) == 3
    assert found["matches"][0]["song"] == str(songs / "leap.wav")
    assert {*found["matches"][0]} == {"song", "start_s", "end_s", "semitones", "score"}


def test_one_bad_song_does_not_stop_the_others(songs, tmp_path, capsys):
    (songs / "bad.wav").write_text("words")
    assert main(["hum", "add", str(tmp_path / "songs.hum"), str(songs)]) == 2
    said = capsys.readouterr().err
    assert "bad.wav is no sound file" in said and "3 songs added, 0 were known, 1 failed" in said
    assert len(load(tmp_path / "songs.hum").songs) == 3


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["find", "none.hum", "a.wav"], 2, ["no file none.hum", "rtsep hum add"]),
        (["find", "a.wav", "a.wav"], 2, ["a.wav is no index", "rtsep hum add"]),
        (["find", "broken.hum", "a.wav"], 2, ["broken.hum is damaged"]),
        (["find", "newer.hum", "a.wav"], 2, ["format 99", "format 1"]),
        (["find", "empty.hum", "a.wav"], 2, ["empty.hum holds no songs", "rtsep hum add"]),
        (["find", "good.hum", "b.wav"], 2, ["no file b.wav"]),
        (["find", "good.hum", "a.wav"], 2, ["a.wav: 0.0 s of melody", "at least 3 s"]),
        (["find", "good.hum", "a.wav", "--top", "0"], 2, ["--top 0", "at least 1"]),
        (["add", "a.wav", "a.wav"], 2, ["a.wav is no index"]),
        (["add", "new.hum", "b.wav"], 2, ["no file b.wav"]),
        (["add", "new.hum", "a.wav", "-j", "0"], 2, ["0 jobs", "at least 1"]),
        (["add", "a.wav/new.hum", "a.wav"], 3, ["cannot write"]),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(arguments, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", np.zeros(RATE), RATE)
    good = Index({"a": Song(np.full(40, 80, np.uint8))})
    good.save("good.hum")
    Index().save("empty.hum")
    (tmp_path / "broken.hum").write_bytes(good.content()[:200])
    monkeypatch.setattr(hum, "FORMAT", 99)
    good.save("newer.hum")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["hum", *arguments]) == code
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said and sorted(tmp_path.iterdir()) == before


def test_an_index_that_cannot_be_read_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="cannot read"):
        load(tmp_path)


def test_it_needs_neither_a_compiler_nor_scipy():
    script = (
        "import sys, numpy as np; from rtsep.offline.hum_search import search; "
        "song = np.repeat(np.arange(80, 140, 4, dtype=np.uint8), 4); assert search([song], song); "
        "print(*{'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_words_of_all_stretches_are_in_the_query():
    """What a song that is the query, stretched, has as words, the query has too, at the same moments."""
    random = np.random.default_rng(3)
    pitch = melody(random, 12)
    pitch[pitch == 0] = 60
    for stretch in (hum_search._STRETCHES[0], hum_search._STRETCHES[-1]):
        song, query = heard(at_tempo(pitch, 1 / stretch)), heard(pitch)
        words, frames = hum_search._words(hum_search._Flat([song]))
        known = hum_search._words_of_query(query, stretch)[words]
        right = np.abs(frames - hum_search._LEAD - known * stretch) <= 3
        assert right[known >= 0].mean() > 0.5 and (known >= 0).mean() > 0.6
