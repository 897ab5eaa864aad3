"""Augmentation and feed: what they may change, and that they repeat."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.augment import cutout, permute_pixels, random_crop, random_flip
from striate.data.feed import Augmentation, Feed
from striate.data.pictures import PictureSet

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, channels=2, height=5, width=7):
    return torch.randint(0, 256, (count, channels, height, width), generator=generator(9), dtype=torch.uint8)


@given(height=st.integers(1, 9), width=st.integers(1, 9), padding=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_crop_is_a_window_of_the_padded_picture(height, width, padding, seed):
    pixels = batch(3, 2, height, width)
    padded = torch.nn.functional.pad(pixels.float(), [padding] * 4, mode="replicate").to(torch.uint8)
    cropped = random_crop(pixels, padding, generator(seed))
    for before, after in zip(padded, cropped, strict=True):
        windows = [
            before[:, y : y + height, x : x + width]
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
        ]
        assert any(torch.equal(after, window) for window in windows)


def test_crops_differ_within_a_batch_and_repeat_with_the_seed():
    pixels = batch(1, 1, 8, 8).expand(50, -1, -1, -1)
    first = random_crop(pixels, 2, generator(1))
    assert len({tuple(p.flatten().tolist()) for p in first}) > 10
    assert torch.equal(first, random_crop(pixels, 2, generator(1)))


def test_a_flip_mirrors_about_half():
    pixels = batch(400)
    flipped = random_flip(pixels, generator())
    mirrored = [bool((a == b.flip(2)).all()) for a, b in zip(flipped, pixels, strict=True)]
    kept = [bool((a == b).all()) for a, b in zip(flipped, pixels, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True)) and 150 < sum(mirrored) < 250


def test_cutout_blanks_one_square_of_all_channels():
    pixels = torch.full((200, 3, 9, 9), 7, dtype=torch.uint8)
    cut = cutout(pixels, 4, 0, generator())
    blanked = (cut == 0).all(1).flatten(1).sum(1)
    assert blanked.max() == 16 and blanked.min() >= 4  # a square at the border is cut by it
    assert ((cut == 0).any(1) == (cut == 0).all(1)).all() and (pixels == 7).all()


def test_a_permutation_moves_all_channels_alike_and_loses_nothing():
    pixels = batch()
    permutation = torch.randperm(35, generator=generator())
    moved = permute_pixels(pixels, permutation)
    assert torch.equal(moved.flatten(2)[:, :, torch.argsort(permutation)].view(pixels.shape), pixels)
    assert permute_pixels(pixels, None) is pixels


def feed(count=50, size=8, seed=0, permutation=None, **augmentation):
    pixels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 6, 6)
    pictures = PictureSet(pixels, torch.arange(count) % 3, tuple(map(str, range(count))), ("a", "b", "c"))
    return Feed(pictures, size, seed, Augmentation(**augmentation), permutation, CPU)


def test_a_pass_shows_no_picture_twice_and_the_left_over_ones_differ():
    source = feed()
    passes = [torch.cat([source.indices(e * 6 + s) for s in range(6)]) for e in range(8)]
    assert source.steps_per_epoch == 6
    assert all(len(set(p.tolist())) == 48 for p in passes)
    assert len(set(torch.cat(passes).tolist())) == 50
    assert not torch.equal(passes[0], passes[1])


def test_a_batch_is_a_function_of_seed_and_step_alone():
    order = (3, 11, 0, 7)
    source, other = feed(crop_padding=1, cutout=2, flip=True), feed(crop_padding=1, cutout=2, flip=True)
    forward = {s: source.batch(s) for s in order}
    for step in reversed(order):
        pixels, labels = other.batch(step)
        assert torch.equal(pixels, forward[step][0]) and torch.equal(labels, forward[step][1])
    assert not torch.equal(feed(seed=1).batch(3)[1], feed(seed=0).batch(3)[1])


def test_labels_stay_with_their_pictures():
    pixels, labels = feed(crop_padding=2).batch(4)
    assert torch.equal(pixels[:, 0, 0, 0].long() % 3, labels)


def test_a_batch_larger_than_the_set_is_the_set():
    source = feed(count=5, size=64)
    assert source.steps_per_epoch == 1 and len(source.batch(0)[1]) == 5


def test_the_permutation_comes_after_the_augmentation():
    permutation = torch.randperm(36, generator=generator(3))
    plain, moved = feed(crop_padding=2, cutout=3), feed(crop_padding=2, cutout=3, permutation=permutation)
    assert torch.equal(moved.batch(2)[0], permute_pixels(plain.batch(2)[0], permutation))


@pytest.mark.parametrize("pixels", [torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8)])
def test_a_picture_set_refuses_other_pixels(pixels):
    with pytest.raises(ValueError, match="wanted uint8"):
        PictureSet(pixels, torch.zeros(2, dtype=torch.int64), ("a", "b"), ("x",))
