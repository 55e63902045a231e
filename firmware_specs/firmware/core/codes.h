/* Made by python -m firmware_specs.firmware.codes from the protocol's tables. Do not edit. */
#ifndef HIL_CODES_H
#define HIL_CODES_H

enum {
    KIND_REQUEST = 1,
    KIND_REPLY = 2,
    KIND_ERROR = 3,
    KIND_CREDIT = 4,
    KIND_NAK = 5,
    KIND_SYNC = 6,
    KIND_SYNCED = 7,
};

enum {
    NAK_DAMAGED = 1,
    NAK_GAP = 2,
    NAK_FULL = 3,
    NAK_NO_SESSION = 4,
};

enum {
    STATE_SAFE = 0,
    STATE_ARMED = 1,
    STATE_TRIPPED = 2,
};

enum {
    TRIP_NONE = 0,
    TRIP_WATCHDOG = 1,
    TRIP_OVER_TEMPERATURE = 2,
    TRIP_LINK_LOST = 3,
    TRIP_HARDWARE = 4,
    TRIP_EMERGENCY_STOP = 5,
};

enum {
    OP_IDENTIFY = 1,
    OP_FABRIC = 2,
    OP_CONVERTERS = 3,
    OP_PARAMETERS = 4,
    OP_LIMITS = 5,
    OP_SET_LIMITS = 6,
    OP_STATUS = 7,
    OP_FAULT_LOG = 8,
    OP_CLEAR = 9,
    OP_SELF_TEST = 10,
    OP_RESET = 11,
    OP_ECHO = 12,
    OP_HEARTBEAT = 13,
    OP_WATCHDOG = 16,
    OP_ARM = 17,
    OP_DISARM = 18,
    OP_CONFIGURE = 32,
    OP_TOPOLOGY = 33,
    OP_WRITE_CELLS = 48,
    OP_READ_CELLS = 49,
    OP_PULSE = 50,
    OP_MEASURE = 51,
    OP_USAGE = 52,
    OP_COINCIDE = 53,
    OP_SETTLE = 64,
    OP_PRODUCT = 65,
    OP_UPDATE = 66,
    OP_TEMPERATURE = 80,
    OP_SET_TEMPERATURE = 81,
    OP_CLOCK = 82,
    OP_WAIT = 83,
    OP_SNAPSHOT = 84,
    OP_RESTORE = 85,
};

enum {
    ERR_UNKNOWN_OPCODE = 1,
    ERR_MALFORMED = 2,
    ERR_UNSUPPORTED = 3,
    ERR_TOO_LARGE = 4,
    ERR_STALE = 5,
    ERR_NOT_ARMED = 16,
    ERR_NO_WATCHDOG = 17,
    ERR_TRIPPED = 18,
    ERR_BUSY = 19,
    ERR_NOT_CONFIGURED = 20,
    ERR_CONFLICT = 21,
    ERR_OUT_OF_RANGE = 32,
    ERR_LIMIT = 33,
    ERR_BUDGET = 34,
    ERR_DOES_NOT_FIT = 35,
    ERR_FLOATING = 36,
    ERR_HARDWARE = 48,
    ERR_INTERNAL = 49,
};

enum {
    CONV_DRIVE_DAC = 1,
    CONV_NUDGE_DAC = 2,
    CONV_STATE_ADC = 3,
    CONV_OUTPUT_ADC = 4,
    CONV_PRODUCT_DAC = 5,
    CONV_PRODUCT_ADC = 6,
    CONV_SOURCE_ADC = 7,
};

enum {
    QUANTITY_VOLT = 0,
    QUANTITY_AMPERE = 1,
};

enum {
    PARAM_STATE_UNIT_V = 1,
    PARAM_TRANSIMPEDANCE_OHM = 2,
    PARAM_LINEAR_LOW_V = 3,
    PARAM_LINEAR_HIGH_V = 4,
    PARAM_G_MIN_S = 5,
    PARAM_G_MAX_S = 6,
    PARAM_CELL_BITS = 7,
    PARAM_SETTLE_TIME_S = 8,
    PARAM_WRITE_TIME_S = 9,
    PARAM_READ_TIME_S = 10,
    PARAM_MAX_READS = 11,
    PARAM_SETTLE_TOLERANCE = 12,
    PARAM_WRITE_ENERGY_J = 13,
    PARAM_PULSE_LAW = 14,
    PARAM_PULSE_STEP = 15,
    PARAM_PULSE_AMPLITUDE_V = 16,
    PARAM_PULSE_WIDTH_S = 17,
    PARAM_PULSE_THRESHOLD_V = 18,
    PARAM_PULSE_ASYMMETRY = 19,
    PARAM_PULSE_ZERO = 20,
    PARAM_PULSE_SLOPE_UP = 21,
    PARAM_PULSE_SLOPE_DOWN = 22,
    PARAM_PULSE_AMPLITUDE_UP = 23,
    PARAM_PULSE_AMPLITUDE_DOWN = 24,
    PARAM_PULSE_GAMMA_UP = 25,
    PARAM_PULSE_GAMMA_DOWN = 26,
    PARAM_PULSE_SCALE = 27,
    PARAM_PULSE_SHIFT = 28,
    PARAM_PULSE_ONE_SIDED = 29,
    PARAM_UPDATE_RATE_PER_S = 30,
    PARAM_UPDATE_WINDOW_S = 31,
    PARAM_UPDATE_BATCH = 32,
    PARAM_CLAMPED_HIGH_V = 33,
    PARAM_PAIRS = 34,
    PARAM_PAIR_SIGNIFICANCE = 35,
    PARAM_HALF_SELECT = 36,
};

#define FLAG_OUTPUTS_ON 1
#define FLAG_TRIPPED 2
#define FLAG_REPLAYED 4
#define FLAG_FAULTS 8

#define CAP_SETTLE (UINT64_C(1) << 0)
#define CAP_PRODUCT (UINT64_C(1) << 1)
#define CAP_PULSE (UINT64_C(1) << 2)
#define CAP_CONV (UINT64_C(1) << 3)
#define CAP_POOL (UINT64_C(1) << 4)
#define CAP_RESISTIVE (UINT64_C(1) << 5)
#define CAP_STATE_LOAD (UINT64_C(1) << 6)
#define CAP_TEMPERATURE (UINT64_C(1) << 7)
#define CAP_VIRTUAL_CLOCK (UINT64_C(1) << 8)
#define CAP_SET_TEMPERATURE (UINT64_C(1) << 9)
#define CAP_CONFIGURABLE (UINT64_C(1) << 10)
#define CAP_MEASURE (UINT64_C(1) << 11)
#define CAP_SETTLE_TIME (UINT64_C(1) << 12)
#define CAP_SNAPSHOT (UINT64_C(1) << 13)
#define CAP_USAGE (UINT64_C(1) << 14)
#define CAP_DIFFERENTIAL (UINT64_C(1) << 15)
#define CAP_WRITE (UINT64_C(1) << 16)
#define CAP_READ (UINT64_C(1) << 17)
#define CAP_SELF_TEST (UINT64_C(1) << 18)
#define CAP_LINK_LOSS (UINT64_C(1) << 19)
#define CAP_SOURCE_CURRENT (UINT64_C(1) << 20)
#define CAP_WATCHDOG (UINT64_C(1) << 21)
#define CAP_VERIFY (UINT64_C(1) << 22)
#define CAP_UPDATE (UINT64_C(1) << 23)
#define CAP_COINCIDE (UINT64_C(1) << 24)

#define PROTOCOL_VERSION 1
#define MAX_FRAME 4096
#define MAX_PAYLOAD 4056
#define HEADER_SIZE 18
#define CRC_SIZE 4
#define MAX_TEXT 1024
#define WRITE_ONCE 65535
#define PLANE_DIFFERENCE 255
#define TRIP_FAULT 256
#define CRC_RESIDUE UINT32_C(0x2144df1c)
#define AT_VERSION 0
#define AT_KIND 1
#define AT_OPCODE 2
#define AT_FLAGS 3
#define AT_SESSION 4
#define AT_SEQUENCE 8
#define AT_PART 12
#define AT_PARTS 14
#define AT_LENGTH 16

#define HIL_HEADER(X) \
    X(VERSION, version, uint8_t) \
    X(KIND, kind, uint8_t) \
    X(OPCODE, opcode, uint8_t) \
    X(FLAGS, flags, uint8_t) \
    X(SESSION, session, uint32_t) \
    X(SEQUENCE, sequence, uint32_t) \
    X(PART, part, uint16_t) \
    X(PARTS, parts, uint16_t) \
    X(LENGTH, length, uint16_t)

enum {
    LIMIT_MAX_DRIVE_A = 0,
    LIMIT_MAX_READ_V = 1,
    LIMIT_MAX_PULSE_V = 2,
    LIMIT_MAX_PULSE_S = 3,
    LIMIT_MAX_PULSES_PER_CELL = 4,
    LIMIT_MAX_ENERGY_PER_CELL_J = 5,
    LIMIT_MAX_TEMPERATURE_K = 6,
    LIMIT_MAX_SOURCE_V = 7,
    LIMIT_COUNT = 8,
};

#define HIL_VERBS(X) \
    X(IDENTIFY, identify, 0, -1, 1) \
    X(FABRIC, fabric, 0, -1, 1) \
    X(CONVERTERS, converters, 0, -1, 1) \
    X(PARAMETERS, parameters, 0, -1, 1) \
    X(LIMITS, limits, 0, -1, 1) \
    X(SET_LIMITS, set_limits, 0, -1, 0) \
    X(STATUS, status, 0, -1, 1) \
    X(FAULT_LOG, fault_log, 0, -1, 0) \
    X(CLEAR, clear, 0, -1, 1) \
    X(SELF_TEST, self_test, 0, 18, 1) \
    X(RESET, reset, 0, -1, 1) \
    X(ECHO, echo, 0, -1, 0) \
    X(HEARTBEAT, heartbeat, 0, -1, 1) \
    X(WATCHDOG, watchdog, 0, 21, 0) \
    X(ARM, arm, 0, -1, 1) \
    X(DISARM, disarm, 0, -1, 1) \
    X(CONFIGURE, configure, 0, -1, 0) \
    X(TOPOLOGY, topology, 0, -1, 0) \
    X(WRITE_CELLS, write_cells, 1, 16, 0) \
    X(READ_CELLS, read_cells, 1, 17, 0) \
    X(PULSE, pulse, 1, 2, 0) \
    X(MEASURE, measure, 1, 11, 0) \
    X(USAGE, usage, 0, 14, 0) \
    X(COINCIDE, coincide, 1, 24, 0) \
    X(SETTLE, settle, 1, 0, 0) \
    X(PRODUCT, product, 1, 1, 0) \
    X(UPDATE, update, 1, 23, 0) \
    X(TEMPERATURE, temperature, 0, 7, 1) \
    X(SET_TEMPERATURE, set_temperature, 0, 9, 0)

/* What no board does, see 7.1. */
#define HIL_EMULATOR_VERBS(X) \
    X(CLOCK, clock, 0, 8, 1) \
    X(WAIT, wait, 0, 8, 0) \
    X(SNAPSHOT, snapshot, 0, 13, 1) \
    X(RESTORE, restore, 0, 13, 0)

#endif
