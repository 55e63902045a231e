"""Other people's training loops around a block: the same weights to the last bit as a plain loop."""

import logging
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hil import EnergyBlock, dense_chain, open_bench

EPOCHS, RATE = 2, 1e-2


def loader():
    draw = torch.Generator().manual_seed(1)
    samples = TensorDataset(torch.rand(64, 12, generator=draw), torch.randint(6, (64,), generator=draw))
    return DataLoader(samples, batch_size=16)


def model(address):
    torch.manual_seed(0)
    block = EnergyBlock(dense_chain([10, 8], slope=0.5), open_bench(address))
    return nn.Sequential(nn.Linear(12, 10), block, nn.Linear(8, 6))


def train(made, optimizer, batches, backward):
    for _ in range(EPOCHS):
        for inputs, labels in batches:
            optimizer.zero_grad()
            backward(nn.functional.cross_entropy(made(inputs), labels))
            optimizer.step()


def weights(made):
    return [parameter.detach() for parameter in made.parameters()]


@pytest.fixture(params=["reference:", "emulator:mixed-8bit?seed=1"])
def plain(request):
    """The address, and the weights of a plain loop there."""
    made = model(request.param)
    train(made, torch.optim.Adam(made.parameters(), RATE), loader(), torch.Tensor.backward)
    return request.param, weights(made)


def test_lightning_trains_the_same_weights(plain, monkeypatch, tmp_path):
    lightning = pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")
    monkeypatch.chdir(tmp_path)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    address, expected = plain

    class Trained(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model(address)

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), RATE)

    trained = Trained()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(trained, loader())
    assert all(torch.equal(a, b) for a, b in zip(weights(trained.model), expected, strict=True))


def test_accelerate_trains_the_same_weights(plain):
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    address, expected = plain
    made = model(address)
    accelerator = accelerate.Accelerator(cpu=True)
    prepared = accelerator.prepare(made, torch.optim.Adam(made.parameters(), RATE), loader())
    train(*prepared, accelerator.backward)
    assert all(torch.equal(a, b) for a, b in zip(weights(made), expected, strict=True))
