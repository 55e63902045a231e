import pytest

from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.placement import check_fits, next_array
from hil.counterparts.seam import PlacementError


def fabric(**changes) -> Datasheet:
    document = load("ideal").model_dump(mode="json")
    document["fabric"] |= changes
    return Datasheet.model_validate(document)


def conv(pool: bool) -> Topology:
    size = 2 if pool else 4
    return Topology(
        layers=(Layer(shape=(2, 4, 4)), Layer(shape=(3, size, size))), couplings=(Conv(pre=0, post=1, pool=pool),)
    )


@pytest.mark.parametrize(
    ("changes", "topology"),
    [
        ({"max_rows": 17, "max_columns": 8, "max_units": 16, "max_layers": 2}, dense_chain([16, 8])),
        ({"max_rows": 16, "max_columns": 8}, dense_chain([16, 8], bias=False)),
        ({"max_rows": 19, "max_columns": 3, "max_units": 48}, conv(pool=False)),
        ({"layers": [16, 8]}, dense_chain([16, 8])),
        ({"layers": [16, 8]}, dense_chain([10, 2])),
    ],
)
def test_what_just_fits_is_placed(changes, topology):
    check_fits(fabric(**changes), topology)


@pytest.mark.parametrize(
    ("changes", "topology", "reasons"),
    [
        ({"max_layers": 2}, dense_chain([4, 4, 4]), ["3 layers, an array has 2"]),
        ({"max_units": 15}, dense_chain([16, 8]), ["layer 0 has 16 units, at most 15"]),
        ({"max_rows": 16}, dense_chain([16, 8]), ["coupling 0 needs 17 x 8 cells, an array has 16 x"]),
        ({"max_columns": 7}, dense_chain([4, 8]), ["coupling 0 needs 5 x 8 cells"]),
        ({"couplings": ["dense"]}, conv(pool=False), ["coupling 0 is conv, the array has dense"]),
        ({"pooling": False}, conv(pool=True), ["coupling 0 pools inside the energy, the array cannot"]),
        ({"layers": [16, 8]}, dense_chain([17, 8]), ["layers [17, 8] do not fit the wired layers [16, 8]"]),
        ({"layers": [16, 8]}, dense_chain([16, 8, 4]), ["do not fit the wired layers [16, 8]"]),
        (
            {"max_layers": 2, "max_units": 5, "max_rows": 4},
            dense_chain([6, 4, 4]),
            ["3 layers, an array has 2", "layer 0 has 6 units", "coupling 0 needs 7 x 4", "coupling 1 needs 5 x 4"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_every_reason(changes, topology, reasons):
    with pytest.raises(PlacementError) as caught:
        check_fits(fabric(**changes), topology)
    assert str(caught.value).startswith("does not fit ideal: ")
    for reason in reasons:
        assert reason in str(caught.value)


def test_a_block_more_than_there_are_arrays_is_refused_with_what_would_help():
    assert next_array(fabric(arrays=2), 1) == 1
    with pytest.raises(PlacementError, match=r"ideal has 2 array\(s\) and block 3 needs one more: use fewer blocks or"):
        next_array(fabric(arrays=2), 2)
