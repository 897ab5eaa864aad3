"""Extraction in blocks, batches and threads; the cache behind it."""

import numpy as np
import pytest
import torch
from feature_pictures import blobs

from striate.data.augment import permute_pixels
from striate.models.features import cache, extract
from striate.models.features.extract import View, choose_settings, restore_settings
from striate.train.monitor import Monitor


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.fixture
def eager_cache(own_cache, monkeypatch):
    monkeypatch.setattr(extract, "WORTH_SECONDS", 0)
    monkeypatch.setattr(extract, "CACHED_FROM", 1)
    return own_cache


PIXELS = torch.from_numpy(blobs(40, 16, 0))
SETTINGS = {feature: choose_settings(feature, 16, 16) for feature in ("hog", "lbp", "sift")}


def arrays(feature, view=None, monitor=None):
    return extract.extract(feature, SETTINGS[feature], view or View(PIXELS), monitor or Monitor()).arrays


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("feature", SETTINGS)
def test_same_bits_at_any_number_of_threads_blocks_and_batches(feature, monkeypatch):
    expected = arrays(feature)
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            assert_equal(arrays(feature), expected)
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(extract, "BLOCK", 7)
    monkeypatch.setattr(extract, "BATCH_PIXELS", dict.fromkeys(SETTINGS, 3 * 16 * 16))
    assert_equal(arrays(feature), expected)


@pytest.mark.parametrize("feature", SETTINGS)
def test_index_and_permutation(feature):
    index = torch.tensor([7, 3, 3, 39])
    permutation = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    shuffled = View(permute_pixels(PIXELS[index], permutation))
    assert_equal(arrays(feature, View(PIXELS, index, permutation)), arrays(feature, shuffled))


@pytest.mark.parametrize("feature", SETTINGS)
def test_settings_survive_json(feature):
    import json
    from dataclasses import asdict

    settings = SETTINGS[feature]
    assert restore_settings(feature, json.loads(json.dumps(asdict(settings)))) == settings


def test_progress_ends_at_the_total():
    class Recorder(Monitor):
        def __init__(self):
            self.events = []

        def begin(self, title, total, unit="pictures"):
            self.events.append(total)

        def advance(self, done, **figures):
            self.events.append(done)

    recorder = Recorder()
    arrays("hog", monitor=recorder)
    assert recorder.events[0] == recorder.events[-1] == 40


def test_second_time_comes_from_the_cache(eager_cache, monkeypatch):
    expected = arrays("sift")
    assert len(list(eager_cache.glob("*.safetensors"))) == 1
    monkeypatch.setattr(extract, "_in_batches", lambda *_: pytest.fail("computed again"))
    found = extract.extract("sift", SETTINGS["sift"], View(PIXELS), Monitor())
    assert_equal(found.arrays, expected)
    assert found.saved_seconds > 0


def test_cheap_features_are_not_kept(own_cache):
    arrays("hog")
    assert not own_cache.exists()


def test_other_pictures_settings_and_features_have_other_entries(eager_cache):
    arrays("hog")
    arrays("lbp")
    arrays("hog", View(PIXELS[:39]))
    changed = PIXELS.clone()
    changed[0, 0, 0, 0] += 1
    arrays("hog", View(changed))
    extract.extract("hog", choose_settings("hog", 32, 32), View(PIXELS), Monitor())
    assert len(list(eager_cache.glob("*.safetensors"))) == 5


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_entry_is_computed_again_and_replaced(damage, eager_cache):
    expected = arrays("lbp")
    (path,) = eager_cache.glob("*.safetensors")
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-5] ^= 4
    path.write_bytes({"empty": b"", "cut": data[:-9], "flipped": data, "text": b"hello"}[damage])
    assert_equal(arrays("lbp"), expected)
    assert cache.read(path.stem) is not None


def test_without_a_cache_folder_it_works(eager_cache):
    eager_cache.parent.mkdir(exist_ok=True)
    eager_cache.write_text("a file where the folder should be")
    expected = arrays("hog")
    assert_equal(arrays("hog"), expected)
    assert eager_cache.is_file()


def test_the_least_recently_used_entries_go(eager_cache, monkeypatch):
    import os

    names = []
    for number in range(3):
        entry = cache.Entry({"a": np.full(1000, number)}, 1.0)
        names.append(cache.key(np.uint8([number]), {}))
        cache.write(names[-1], entry)
        os.utime(eager_cache / f"{names[-1]}.safetensors", (number, number))
    cache.read(names[0])
    monkeypatch.setattr(cache, "LIMIT", 25_000)
    cache.write("new", cache.Entry({"a": np.zeros(1000)}, 1.0))
    assert cache.read(names[1]) is None
    assert cache.read(names[0]) is not None
    assert cache.read("new") is not None


def test_the_cache_is_where_the_platform_has_it(monkeypatch):
    monkeypatch.delenv("STRIATE_CACHE")
    assert cache.folder().parts[-2:] == ("striate", "features")
