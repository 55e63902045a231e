import torch

from hil.data.batches import Batches, in_order
from hil.data.dataset import Split

SPLIT = Split(torch.arange(10).view(10, 1, 1, 1), torch.arange(10))


def jitter(images, generator):
    return images + torch.rand(images.shape, generator=generator)


def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own():
    batches = Batches(SPLIT, 4, seed=1)
    first, second = (torch.cat([labels for _, labels in batches.epoch(n)]).tolist() for n in (0, 1))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [len(labels) for _, labels in batches.epoch(0)] == [4, 4, 2]
    assert len(batches) == 3


def test_drop_last_leaves_out_the_smaller_batch():
    batches = Batches(SPLIT, 4, seed=1, drop_last=True)
    assert [len(labels) for _, labels in batches.epoch(0)] == [4, 4]
    assert len(batches) == 2


def test_any_position_can_be_taken_up_again_with_the_same_augmentation():
    batches = Batches(SPLIT, 3, seed=5, augment=jitter)
    whole = list(batches.epoch(2))
    rest = list(batches.epoch(2, start=2))
    assert len(rest) == 2
    for (images, labels), (again, labels_again) in zip(whole[2:], rest, strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, labels_again)


def test_the_seed_decides_the_order():
    orders = [torch.cat([y for _, y in Batches(SPLIT, 4, seed).epoch(0)]).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_subset_is_the_same_for_everyone():
    assert torch.equal(SPLIT.first(4, "train").labels, SPLIT.first(4, "train").labels)
    assert len(set(SPLIT.first(4, "train").labels.tolist())) == 4


def test_testing_goes_through_the_samples_in_order():
    assert torch.cat([labels for _, labels in in_order(SPLIT, 3)]).tolist() == list(range(10))
