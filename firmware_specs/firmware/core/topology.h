/* A topology as the core keeps it (PROTOCOL.md 7.5): dense Hopfield layers and couplings. */
#ifndef HIL_TOPOLOGY_H
#define HIL_TOPOLOGY_H

#include <stdint.h>

#include "board.h"

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

#endif
