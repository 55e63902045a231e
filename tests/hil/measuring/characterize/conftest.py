import pytest

from hil.measuring.characterize.store import Store


@pytest.fixture
def unpublished(monkeypatch):
    """Figures and resumes stand on the journal: NetCDF, half of what a small measurement costs, nobody reads here."""
    monkeypatch.setattr(Store, "publish", lambda store, item, dataset: store.folder / f"{item}.nc")
    monkeypatch.setattr(Store, "due", False)
