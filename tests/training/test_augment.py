"""Changes of a batch keep shape, range and, given the generator, themselves."""

import pytest

torch = pytest.importorskip("torch")

from training import augment  # noqa: E402  (imports torch)


def generator(seed: int = 0):
    return torch.Generator().manual_seed(seed)


def test_augment_faces_keeps_shape_and_range():
    faces = torch.rand(64, 1, 48, 48, generator=generator(1))
    changed = augment.augment_faces(faces, generator())
    assert changed.shape == faces.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed, augment.augment_faces(faces, generator()))


def test_augment_speech_keeps_shape_and_range():
    mels = torch.rand(32, 1, 186, 64, generator=generator(1)) * 8 - 4
    changed = augment.augment_speech(mels, generator())
    assert changed.shape == mels.shape
    assert changed.abs().max() <= 4
    assert torch.equal(changed, augment.augment_speech(mels, generator()))


def test_shift_moves_in_silence():
    mels = torch.arange(10.0).view(1, 1, 10, 1).repeat(200, 1, 1, 3)
    moved = augment.shift(mels, steps=2, dim=2, generator=generator())
    firsts = {tuple(example[0, :, 0].tolist()) for example in moved}
    assert len(firsts) == 5
    assert (*[augment.SILENCE] * 2, *map(float, range(8))) in firsts


def test_mixup_blends_targets_as_inputs():
    inputs = torch.eye(8).view(8, 1, 8, 1)
    mixed, targets = augment.mixup(inputs, torch.eye(8), 0.4, generator())
    assert torch.allclose(mixed.view(8, 8), targets)
    assert torch.allclose(targets.sum(dim=1), torch.ones(8))
    assert (targets.diagonal() >= 0.6).all()


def test_flip_some_mirrors_about_half():
    faces = torch.rand(400, 1, 4, 4, generator=generator(1))
    changed = augment.flip_some(faces, generator())
    mirrored = (changed == faces.flip(3)).flatten(1).all(dim=1)
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(changed[~mirrored], faces[~mirrored])
