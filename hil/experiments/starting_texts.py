"""What `hil init` writes: a bench file, and an experiment for the kind of chip there is."""

NAME = "chip"
"""What the device is called."""
BENCH = """#:schema ./bench.schema.json
# The devices of this bench. Every key: hil schema bench, or hover over one in an editor that knows the line above.

[devices.{name}]
address = {address}
{more}"""
UNWATCHED = """allow_no_watchdog = true     # outputs that stay on when this computer dies: you know
"""
REAL = """# datasheet = "chip.toml"    # what it must agree with: a shipped name or a file
# serial = "0001"            # refuse any other specimen
watchdog_s = 2.0             # the device turns its outputs off this long after the last sign of life

[devices.{name}.limits]
# max_drive_a = 1e-4         # what your chip may see at most; what is left out is not narrowed
# max_pulse_v = 1.2
"""
EXPERIMENT = """#:schema ./experiment.schema.json
# What is trained, on what. `hil train FILE --set run.epochs=20` replaces a value for once.

title = {title}
device = "bench:bench.toml#{name}"
loss = "{loss}"
{readout}
[data]
name = {data}
{model}"""
NO_READOUT = """readout = "none"             # the last layer answers itself
"""
HOPFIELD = """
[[blocks]]
# on this computer: from the data to the drives of the array
feedforward = [{{ kind = "flatten" }}, {{ kind = "linear", units = {units} }}]

[blocks.energy]
# on the array: {units} neurons that are driven, {units} that answer, a crossbar between them
couplings = [{{ kind = "dense", units = {units} }}]
slope = 0.5

[optimizer]
lr = 3e-3

[run]
epochs = 5
batch = 32
"""
RESISTIVE = """
[[blocks]]
# on this computer: every value is two sources, one of either sign
feedforward = [{{ kind = "flatten" }}, {{ kind = "mirror", gain = 100.0 }}]

[blocks.energy]
# on the array: {units} nodes with diodes, {outputs} that answer, a crossbar before each
substrate = "resistive"
couplings = [{{ kind = "dense", units = {units} }}, {{ kind = "dense", units = {outputs} }}]

[estimator]
beta = 1.0

[optimizer]
lr = 3e-3

[settle]
max_iterations = 30
tolerance = 1e-3

[run]
epochs = 5
batch = 32
"""
RACK = """
[[blocks]]
# on this computer: every value is two sources, one of either sign
feedforward = [{{ kind = "flatten" }}, {{ kind = "mirror", gain = 10.0 }}]

[blocks.energy]
# on the bare crossbar: {units} nodes with diodes, {outputs} that answer; it has no sources for biases
substrate = "resistive"
couplings = [{{ kind = "dense", units = {units}, bias = false }}, {{ kind = "dense", units = {outputs}, bias = false }}]

[estimator]
beta = 0.5
range_fraction = 0.3

[optimizer]
lr = 0.07

[settle]
max_iterations = 60
tolerance = 1e-6

[run]
epochs = 14
batch = 15
"""
