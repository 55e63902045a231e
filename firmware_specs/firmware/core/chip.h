/* What a board gives the core of its array. The core calls these with places and codes that exist and are within the
 * limits; outputs are on (port_outputs) whenever something is driven. */
#ifndef HIL_CHIP_H
#define HIL_CHIP_H

#include <stdint.h>

#include "board.h"

/* A topology (PROTOCOL.md 7.5): dense Hopfield layers and couplings. */
struct layer {
    uint8_t clamped;
    uint32_t units;
    double slope;
};

struct coupling {
    uint8_t pre, post, bias;
    uint32_t rows, columns;
};

struct topology {
    uint8_t layers, couplings;
    struct layer layer[BOARD_MAX_LAYERS];
    struct coupling coupling[BOARD_COUPLINGS];
};

/* A cell of the array that chip_place told of: plane 0 is G+, 1 is G-. */
struct cell {
    unsigned coupling, plane;
    uint32_t row, column;
};

struct wear {
    uint32_t pulses;
    double joules;
};

void chip_place(const struct topology *topology); /* other layers and couplings from now on; cells as they are */

void chip_drive(uint32_t unit, uint32_t code); /* drive DAC of a unit of layer 0 */
void chip_nudge(uint32_t unit, uint32_t code); /* nudge DAC of a unit of the last layer */

struct settled {
    uint32_t iterations; /* 0: it does not iterate */
    float residual;      /* largest change at the end, in state units */
};
/* Waits until the array has settled under the present drive and nudge. start: from rest, else from where it is. */
struct settled chip_settle(double seconds, int start);
uint32_t chip_state(unsigned layer, uint32_t unit); /* one conversion of a state */

void chip_write(struct cell cell, uint32_t code);
uint32_t chip_read(struct cell cell); /* one reading, conductance code */
void chip_pulse(struct cell cell, int up, double volts, double seconds);
double chip_current(struct cell cell, double volts); /* amperes, one conversion */

struct wear chip_wear(struct cell cell); /* what a cell has had in its life: it outlives power */
void chip_worn(struct cell cell, uint32_t pulses, double joules);

#endif
