/* What updates need of the core, and of an array that updates itself (BOARD_UPDATE, PROTOCOL.md 7.10). */
#ifndef HIL_UPDATE_H
#define HIL_UPDATE_H

#include "core.h"

/* settle.c, cells.c */
struct codes get_block(uint32_t batch);
void check_range(const struct topology *on, uint32_t phase, struct codes block, uint32_t batch);
void check_limit(uint32_t phase, struct codes block);
/* phase p of sample s: blocks are the drive, then the nudges */
struct settled settle_phase(const struct topology *on, const struct codes *block, uint32_t p, uint32_t s, double time_s);
void afford(struct cell cell, uint32_t at, uint32_t pulses, double more_j); /* else BUDGET, at that position */

/* what a board gives besides chip.h */
void chip_hold(unsigned phase); /* keeps the states that the array has now */
/* The circuits of all cells are on so long, for two held phases; returns how many came to their limit. */
uint64_t chip_contrast(unsigned first, unsigned second, int up, double seconds);
uint64_t chip_learn(int move); /* cells move by all that since the last call, or forget it; returns cells at an end */

#endif
