/* Numbers of a board, made from board.toml by firmware_specs.firmware.board; yours to edit. */
#ifndef HIL_BOARD_H
#define HIL_BOARD_H

#include <math.h>

#include "codes.h"

/* Sizes that memory is taken for: frames of the longest message (max_request and max_reply are 4,056 bytes
 * each), frames taken in without reading, replies kept (at least the window), entries of the fault log. */
#ifndef BOARD_FRAMES
#define BOARD_FRAMES 4
#endif
#ifndef BOARD_WINDOW
#define BOARD_WINDOW 2
#endif
#ifndef BOARD_REPLIES
#define BOARD_REPLIES 2
#endif
#ifndef BOARD_FAULTS
#define BOARD_FAULTS 64
#endif

/* What the port adds to the capabilities, e.g. CAP_LINK_LOSS. */
#ifndef PORT_CAPABILITIES
#define PORT_CAPABILITIES 0
#endif

#define BOARD_VENDOR "crossbar-hil"
#define BOARD_MODEL "reference-board"
#define BOARD_FIRMWARE "reference firmware 1"
#define BOARD_CAPABILITIES (CAP_SETTLE | CAP_PULSE | CAP_TEMPERATURE | CAP_CONFIGURABLE | CAP_MEASURE | CAP_USAGE | CAP_DIFFERENTIAL | CAP_WRITE | CAP_READ | CAP_SELF_TEST | CAP_WATCHDOG | CAP_VERIFY | PORT_CAPABILITIES)

#define BOARD_ARRAYS 1
#define BOARD_MAX_LAYERS 3
#define BOARD_MAX_UNITS 256
#define BOARD_MAX_ROWS 257
#define BOARD_MAX_COLUMNS 256
#define BOARD_LAYERS {0} /* fixed sizes, closed by a 0 */
#define BOARD_COUPLINGS 2
#define BOARD_PAIRS 1u

/* id, quantity, bits, ideal, low, high */
#define BOARD_CONVERTERS { \
        {1, 1, 12, 0, -0.005, 0.005}, \
        {2, 1, 12, 0, -5e-05, 5e-05}, \
        {3, 0, 16, 0, -0.1, 1.1}, \
        {4, 0, 16, 0, -4.096, 4.096}, \
    }
#define BOARD_PARAMETERS { \
        {PARAM_STATE_UNIT_V, 1.0}, \
        {PARAM_TRANSIMPEDANCE_OHM, 1000.0}, \
        {PARAM_LINEAR_LOW_V, -4.0}, \
        {PARAM_LINEAR_HIGH_V, 4.0}, \
        {PARAM_G_MIN_S, 1e-05}, \
        {PARAM_G_MAX_S, 0.001}, \
        {PARAM_CELL_BITS, 10.0}, \
        {PARAM_SETTLE_TIME_S, 0.0001}, \
        {PARAM_WRITE_TIME_S, 0.0}, \
        {PARAM_READ_TIME_S, 0.0}, \
        {PARAM_MAX_READS, 4096.0}, \
        {PARAM_SETTLE_TOLERANCE, 5e-05}, \
        {PARAM_WRITE_ENERGY_J, 0.0}, \
        {PARAM_PULSE_LAW, 1.0}, \
        {PARAM_PULSE_STEP, 0.0009775171}, \
        {PARAM_PULSE_AMPLITUDE_V, 3.0}, \
        {PARAM_PULSE_WIDTH_S, 1e-06}, \
        {PARAM_PULSE_THRESHOLD_V, 0.0}, \
        {PARAM_PULSE_ASYMMETRY, 0.0}, \
        {PARAM_PULSE_ZERO, 0.5}, \
        {PARAM_PULSE_SLOPE_UP, 0.0}, \
        {PARAM_PULSE_SLOPE_DOWN, 0.0}, \
        {PARAM_PULSE_AMPLITUDE_UP, 0.0}, \
        {PARAM_PULSE_AMPLITUDE_DOWN, 0.0}, \
        {PARAM_PULSE_GAMMA_UP, 0.0}, \
        {PARAM_PULSE_GAMMA_DOWN, 0.0}, \
        {PARAM_PULSE_SCALE, 1.0}, \
        {PARAM_PULSE_SHIFT, 0.0}, \
        {PARAM_PULSE_ONE_SIDED, 0.0}, \
    }
/* in the order of PROTOCOL.md 7.2 */
#define BOARD_LIMITS { \
        0.006, \
        0.2, \
        3.3, \
        0.001, \
        1000000.0, \
        INFINITY, \
        358.0, \
        INFINITY, \
    }

/* The software array (chip/model.c) and the energy of a write. */
#define BOARD_WRITE_ENERGY_J 0.0
#define BOARD_STATE_NOISE_V 5e-05
#define BOARD_READ_NOISE 0.0
#define BOARD_PROGRAMMING_NOISE 0.001
#define BOARD_PULSE_STEP 0.0009775171
#define BOARD_PULSE_V 3.0
#define BOARD_PULSE_S 1e-06
#define BOARD_PULSE_THRESHOLD_V 0.0
#define BOARD_PULSE_ASYMMETRY 0.0
/* Relative step of a pulse up and down, at conductances in equal distances over their range. */
#define BOARD_PULSE_RESPONSES { \
        {1, 1}, {1, 1}, \
    }

#endif
