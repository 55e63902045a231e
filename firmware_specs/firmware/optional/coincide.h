/* What pulses on rows and columns need of the core, and of an array whose lines can be pulsed together (BOARD_COINCIDE,
 * PROTOCOL.md 7.11). */
#ifndef HIL_COINCIDE_H
#define HIL_COINCIDE_H

#include "core.h"

/* cells.c: so many pulses and joules more, else BUDGET, at that position */
void afford(struct cell cell, uint32_t at, uint32_t pulses, double more_j);

/* Lines of a plane in one slot: bit k % 8 of byte k / 8 says whether line k, from the first one on, is pulsed. */
struct lines {
    unsigned coupling, plane;
    uint32_t row, rows, column, columns;
    const uint8_t *row_bits, *column_bits;
};
static inline bool pulsed(const uint8_t *bits, uint32_t line) { return bits[line / 8] >> line % 8 & 1; }

/* what a board gives besides chip.h: one slot; a cell sees `volts` where both of its lines are pulsed */
void chip_lines(const struct lines *lines, int up, double volts, double seconds);

#endif
