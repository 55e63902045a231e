"""Exchange of devices with other simulators: aihwkit both ways, CrossSim as a device class."""
