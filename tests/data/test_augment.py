"""What is done to mini-batches of images, their order, and the samples that the report shows."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ImageEnhance import Brightness, Color, Contrast

from bnrepro.config import AugmentConfig
from bnrepro.data import Dataset, Examples, Sampler
from bnrepro.data.augment import Augment, centre
from bnrepro.data.samples import samples
from bnrepro.evaluate import Population
from bnrepro.seeding import uniform

PLAIN = AugmentConfig(shuffle="full", crop=0, pad=0, flip=False, photometric=0.0, crop_at="random")


def coloured(count: int, side: int = 12) -> Examples:
    images = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(0))
    return Examples(images.to(torch.uint8), torch.arange(count))


def test_a_centre_is_cut_out_as_in_evaluation() -> None:
    x = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).view(2, 3, 32, 32)
    out = Augment(replace(PLAIN, crop=28, crop_at="centre"), seed=0)(x)
    assert torch.equal(out, x[:, :, 2:30, 2:30])


def test_a_crop_is_a_square_of_the_padded_image_each_place_as_likely() -> None:
    x = coloured(1).images.expand(4000, 3, 12, 12)
    augment = Augment(replace(PLAIN, pad=2), seed=0)
    out = augment(x)
    padded = torch.nn.functional.pad(x[0].float() / 255, (2, 2, 2, 2))
    places = {(i, j): padded[:, i : i + 12, j : j + 12] for i in range(5) for j in range(5)}
    counts = [int((out == place).flatten(1).all(dim=1).sum()) for place in places.values()]
    assert sum(counts) == 4000
    assert np.abs(np.array(counts) - 160).max() < 60  # 5 standard deviations


def test_half_of_the_images_are_mirrored() -> None:
    x = coloured(1).images.expand(4000, 3, 12, 12)
    out = Augment(replace(PLAIN, flip=True), seed=0)(x)
    mirrored = (out == (x.float() / 255).flip(-1)).flatten(1).all(dim=1)
    kept = (out == x.float() / 255).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert abs(mirrored.float().mean().item() - 0.5) < 0.04


def test_photometric_distortion_has_its_strength_and_0_is_none() -> None:
    x = torch.full((20_000, 3, 2, 2), 0.4)
    out = Augment(replace(PLAIN, photometric=1.0), seed=0)(x)
    brightness = out[:, 0, 0, 0] / 0.4  # of a grey image contrast and saturation change nothing
    assert brightness.min().item() == pytest.approx(0.6, abs=0.01)
    assert brightness.max().item() == pytest.approx(1.4, abs=0.01)
    assert brightness.mean().item() == pytest.approx(1.0, abs=0.01)
    weak = Augment(replace(PLAIN, photometric=0.5), seed=0)(x)
    torch.testing.assert_close(weak - 0.4, (out - 0.4) / 2)
    colours = torch.rand(500, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    distorted = Augment(replace(PLAIN, photometric=1.0), seed=0)(colours)
    assert (distorted.min().item() >= 0, distorted.max().item() <= 1) == (True, True)
    assert not Augment(PLAIN, 0).config.distorts


def test_photometric_distortion_is_pillows() -> None:
    """Brightness, contrast and saturation of coloured images by the drawn factors, one after the other."""
    images = torch.randint(0, 256, (40, 3, 9, 9), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    out = Augment(replace(PLAIN, photometric=1.0), seed=0)(images)
    drawn = uniform(Augment(PLAIN, seed=0).generator, (3, 40), batch=1)
    for image, distorted, factors in zip(images, out, (1 + 0.4 * (2 * drawn - 1)).T, strict=True):
        expected = Image.fromarray(image.permute(1, 2, 0).numpy())
        for enhance, factor in zip((Brightness, Contrast, Color), factors, strict=True):
            expected = enhance(expected).enhance(float(factor))
        theirs = torch.tensor(np.array(expected)).permute(2, 0, 1) / 255
        assert (distorted - theirs).abs().max().item() < 4 / 255  # Pillow rounds to whole bytes in between


def test_a_seed_distorts_the_same_way_and_goes_on_where_it_was() -> None:
    settings = replace(PLAIN, crop=8, pad=1, flip=True, photometric=1.0)
    one, other, third = (Sampler(coloured(20), 5, [seed], settings) for seed in (3, 3, 4))
    assert torch.equal(one.next().images, other.next().images)
    third.load_state_dict(one.state_dict())
    for _ in range(9):  # through the epoch's end
        a, b = one.next(), third.next()
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    assert a.images.shape == (1, 5, 3, 8, 8)


def test_the_populations_distortions_are_their_own_and_trainings_stay() -> None:
    settings = replace(PLAIN, photometric=1.0)
    alike = Examples(coloured(1).images.expand(40, 3, 12, 12), torch.arange(40))
    training = Sampler(alike, 5, [3], settings).next().images
    population = Population(True, alike, 5, 2, [3], settings)
    first, again = (next(population._mini_batches()) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, training).flatten(2).all(dim=2).any()  # the order plays no part: all are one image
    stream = torch.Generator().manual_seed(int(np.random.SeedSequence([3, 4]).generate_state(1, np.uint64)[0]) >> 1)
    augment = Augment(settings, 0)
    augment.generator = stream
    assert torch.equal(augment(alike.images[:5]), training[0])  # stream 4, as in every run on record


def meetings(shuffle: str) -> list[set[frozenset[int]]]:
    """Return, for three epochs, which examples were in a mini-batch together."""
    sampler = Sampler(coloured(23), 5, [0], replace(PLAIN, shuffle=shuffle))
    return [{frozenset(sampler.next().labels[0].tolist()) for _ in range(4)} for _ in range(3)]


def test_in_shards_the_same_examples_always_meet_in_a_new_order() -> None:
    first, second, third = meetings("shard")
    assert first == second == third
    assert len(first) == 4
    assert len(set.union(*map(set, first))) == 20
    sampler = Sampler(coloured(23), 5, [0], replace(PLAIN, shuffle="shard"))
    order = [tuple(sampler.next().labels[0].tolist()) for _ in range(8)]
    assert order[:4] != order[4:]
    first, second, _ = meetings("full")
    assert not first & second


def test_the_centre_is_the_centre() -> None:
    x = torch.arange(36).view(6, 6)
    assert centre(x, 2).tolist() == [[14, 15], [20, 21]]
    assert centre(x, 0) is x


def test_samples_are_training_images_and_their_distortions() -> None:
    train = coloured(40)
    train = Examples(train.images, torch.arange(40) % 4)
    dataset = Dataset("x", train, train, train, train, 4, "")
    table = samples(dataset, replace(PLAIN, pad=2, flip=True, photometric=1.0), images=3, seed=0)
    assert table["label"].unique().tolist() == [0, 1, 2]
    for row in table.itertuples():
        shown = np.array(Image.open(io.BytesIO(base64.b64decode(str(row.png)))))
        stored = train.images[int(str(row.example))].permute(1, 2, 0).numpy()
        assert shown.shape == stored.shape
        if row.version == "as stored":
            np.testing.assert_array_equal(shown, stored)
        if row.version == "strength 0":  # moved and mirrored, no colour but the border's is new
            colours = {tuple(colour) for colour in stored.reshape(-1, 3)} | {(0, 0, 0)}
            assert {tuple(colour) for colour in shown.reshape(-1, 3)} <= colours
    both = table[table["version"].str.startswith("strength")].groupby(["version", "example"])["png"].nunique()
    assert (both == 2).all()  # two different draws
