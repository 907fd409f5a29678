"""networks: files of weights come back as they were, and what cannot be used is refused in a sentence."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from test_learned import network

from rtsep import networks
from rtsep.dsp.learned import Network
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


@pytest.fixture
def path(tmp_path):
    networks.save(tmp_path / "masks.npz", network(), recipe="by chance")
    networks.load.cache_clear()
    return tmp_path / "masks.npz"


def test_weights_come_back_as_they_were_with_what_is_said_of_them(path):
    for array, saved in zip(networks.load(path), network(), strict=True):
        assert array.dtype == np.float32 and np.array_equal(array, saved)
    with np.load(path) as content:
        assert json.loads(content["header"].item()) == {"format": 1, "recipe": "by chance"}


def test_the_network_that_comes_along_is_whole_small_and_tells_its_story():
    assert networks.MASKS.stat().st_size < 1_000_000
    with np.load(networks.MASKS) as content:
        header = json.loads(content["header"].item())
    assert {"recipe", "seed", "data", "scores"} <= set(header)
    assert len(networks.load()) == len(Network._fields)


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
        Wrong("has format 2, and this rtsep reads format 1: train it afresh", header={"format": 2}),
        Wrong("a weight is no number", arrays={"last_bias": np.array([0, np.nan, 0], np.float32)}),
        Wrong("a weight is no number", arrays={"last_bias": np.zeros(3)}),
        Wrong("shapes", arrays={"last_bias": np.zeros(4, np.float32)}),
        Wrong("shapes", arrays={"first": network().first[:, :-1]}),
        Wrong("damaged", arrays={"first": np.array("words")}),
    ],
    ids=lambda wrong: wrong.sentence[:12],
)
def test_files_with_impossible_weights_are_refused_with_a_sentence(path, wrong):
    changed(path, wrong.header, **wrong.arrays or {})
    with pytest.raises(BadInput, match=wrong.sentence):
        networks.load(path)


def test_a_file_without_a_header_is_refused(path):
    with path.open("wb") as file:
        np.savez(file, **network()._asdict())
    with pytest.raises(BadInput, match="holds no network"):
        networks.load(path)


def test_a_disk_that_cannot_be_written_to_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        networks.save(tmp_path / "file" / "masks.npz", network())
