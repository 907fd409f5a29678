"""networks: files of weights come back as they were, and what cannot be used is refused in a sentence."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import test_learned
import test_pitchnet

from rtsep import networks
from rtsep.dsp.learned import AHEAD, FEATURES
from rtsep.errors import BadInput, Unavailable


def changed(path, header=None, **arrays):
    """The file with some of its header or arrays changed."""
    with np.load(path) as whole:
        content = dict(whole)
    if header:
        content["header"] = json.dumps(json.loads(content["header"].item()) | header)
    with path.open("wb") as file:
        np.savez(file, **content | arrays)
    return path


ALL = networks.Networks(
    test_pitchnet.network(), test_learned.network(), test_learned.network(features=FEATURES + AHEAD)
)


@pytest.fixture
def path(tmp_path):
    networks.save(tmp_path / "networks.npz", ALL, recipe="by chance")
    networks.load.cache_clear()
    return tmp_path / "networks.npz"


def test_weights_come_back_as_they_were_with_what_is_said_of_them(path):
    for loaded, given in zip(networks.load(path), ALL, strict=True):
        for array, saved in zip(loaded, given, strict=True):
            assert array.dtype == np.float32 and np.array_equal(array, saved)
    with np.load(path) as content:
        assert json.loads(content["header"].item()) == {"format": 3, "recipe": "by chance"}


def test_the_networks_that_come_along_are_whole_small_and_tell_their_story():
    assert networks.OURS.stat().st_size < 1_000_000
    with np.load(networks.OURS) as content:
        header = json.loads(content["header"].item())
    assert {"recipe", "seed", "data", "scores"} <= set(header)
    assert networks.load().masks.first.any() and networks.load().pitch.first.any()


def test_files_that_cannot_be_used_are_refused_with_a_sentence(path, tmp_path):
    whole = path.read_bytes()
    for content, sentence in ((b"", "damaged"), (b"no network", "damaged"), (whole[: len(whole) // 2], "damaged")):
        path.write_bytes(content)
        networks.load.cache_clear()
        with pytest.raises(BadInput, match=sentence):
            networks.load(path)
    with pytest.raises(BadInput, match="cannot read"):
        networks.load(tmp_path / "nothing.npz")
    with pytest.raises(BadInput, match="cannot read"):
        networks.load(tmp_path)


@dataclass
class Wrong:
    sentence: str
    header: dict | None = None
    arrays: dict | None = None


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("has format 1, and this rtsep reads format 3: train it afresh", header={"format": 1}),
        Wrong("a weight is no number", arrays={"masks.last_bias": np.array([0, np.nan, 0], np.float32)}),
        Wrong("a weight is no number", arrays={"masks.last_bias": np.zeros(3)}),
        Wrong("a weight is no number", arrays={"pitch.last_bias": np.full((2, 1), np.inf, np.float32)}),
        Wrong("shapes", arrays={"masks.last_bias": np.zeros(4, np.float32)}),
        Wrong("shapes", arrays={"masks.first": ALL.masks.first[:, :-1]}),
        Wrong("shapes", arrays={"ahead.first": ALL.masks.first}),
        Wrong("shapes", arrays={"pitch.gates": ALL.pitch.gates[:, :-1]}),
        Wrong("shapes", arrays={"pitch.second": np.zeros((test_pitchnet.SECOND, 4), np.float32)}),
        Wrong("damaged", arrays={"masks.first": np.array("words")}),
        Wrong("damaged", arrays={"pitch.first_bias": np.array(3, np.float32)}),
    ],
    ids=lambda wrong: wrong.sentence[:12],
)
def test_files_with_impossible_weights_are_refused_with_a_sentence(path, wrong):
    changed(path, wrong.header, **wrong.arrays or {})
    with pytest.raises(BadInput, match=wrong.sentence):
        networks.load(path)


def test_a_file_without_a_header_is_refused(path):
    with path.open("wb") as file:
        np.savez(file, **{f"pitch.{name}": array for name, array in ALL.pitch._asdict().items()})
    with pytest.raises(BadInput, match="holds no networks"):
        networks.load(path)


def test_a_disk_that_cannot_be_written_to_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        networks.save(tmp_path / "file" / "networks.npz", ALL)
