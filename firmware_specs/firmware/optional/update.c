/* UPDATE (PROTOCOL.md 7.10), for arrays that update themselves: sample by sample the phases are settled and held, the
 * circuits are on for each term, and when the last sample is through the cells move, once. */
#include "update.h"

#ifdef BOARD_UPDATE
#define MAX_HELD 3
#define MAX_TERMS 4

static struct {
    uint32_t array, phases, batch;
    double time_s;
    struct codes terms, windows, block[MAX_HELD];
    const struct topology *on;
} asked;

static bool parse(void) {
    asked.array = get(2);
    asked.phases = 1 + get_within(1, 0, MAX_HELD - 1, "at most 2 nudged phases");
    asked.batch = get_within(4, 1, UINT32_MAX, "at least one sample");
    asked.time_s = get_real(8, 0, DBL_MAX, "time_s is 0 or more");
    asked.terms = get_codes(1, 3 * get_within(1, 1, MAX_TERMS, "1 to 4 terms"));
    for (uint32_t i = 0; i < asked.terms.count; i++)
        require(code_at(asked.terms, i) < (i % 3 < 2 ? asked.phases : 2), "a term is two phases and a polarity");
    asked.windows = get_codes(4, asked.batch);
    for (uint32_t i = 0; i < asked.windows.count; i++) {
        double window_s = real_at(asked.windows, i);
        require(window_s >= 0 && window_s <= DBL_MAX, "a window is 0 s or more");
    }
    for (uint32_t p = 0; p < asked.phases; p++) asked.block[p] = get_block(asked.batch);
    done();
    allow(ABLE(CAP_SETTLE_TIME) || asked.time_s == 0, ERR_UNSUPPORTED, 12, "this device has one settle time");
    if (asked.time_s == 0) asked.time_s = parameter(PARAM_SETTLE_TIME_S, 0);
    return !request.code;
}

static void each_cell(void (*step)(struct cell cell, uint32_t at)) {
    for (unsigned n = 0; n < asked.on->couplings; n++) {
        const struct coupling *c = &asked.on->coupling[n];
        for (uint32_t i = 0; i < PLANES * c->rows * c->columns; i++) {
            uint32_t at = i % (c->rows * c->columns);
            step((struct cell){n, i / (c->rows * c->columns), at / c->columns, at % c->columns}, at);
        }
    }
}

static uint32_t most;

static void affordable(struct cell cell, uint32_t at) { afford(cell, at, 1, BOARD_WRITE_ENERGY_J); }

static void counted(struct cell cell, uint32_t at) {
    (void)at;
    chip_worn(cell, 1, BOARD_WRITE_ENERGY_J);
    uint32_t has = chip_wear(cell).pulses;
    if (has > most) most = has;
}

static void check(void) {
    float longest = (float)parameter(PARAM_UPDATE_WINDOW_S, 0);
    allow(asked.batch <= parameter(PARAM_UPDATE_BATCH, 1), ERR_OUT_OF_RANGE, asked.batch, "more than update_batch");
    for (uint32_t i = 0; i < asked.windows.count; i++)
        allow(real_at(asked.windows, i) <= longest, ERR_OUT_OF_RANGE, i, "a window beyond update_window_s");
    for (uint32_t p = 0; p < asked.phases; p++) check_range(asked.on, p, asked.block[p], asked.batch);
    for (uint32_t p = 0; p < asked.phases && !request.code; p++) check_limit(p, asked.block[p]);
    if (!request.code) each_cell(affordable);
}

void verb_update(void) {
    float tolerance = (float)parameter(PARAM_SETTLE_TOLERANCE, 1e-3);
    uint64_t clipped = 0;
    uint32_t unsettled = 0;
    if (!parse() || !(asked.on = placed(asked.array))) return;
    check();
    if (request.code) return;
    for (uint32_t s = 0; s < asked.batch && device_working(); s++) {
        for (uint32_t p = 0; p < asked.phases; p++) {
            unsettled += settle_phase(asked.on, asked.block, p, s, asked.time_s).residual > tolerance;
            chip_hold(p);
        }
        for (uint32_t i = 0; i < asked.terms.count; i += 3) {
            uint32_t first = code_at(asked.terms, i), second = code_at(asked.terms, i + 1);
            clipped += chip_contrast(first, second, code_at(asked.terms, i + 2) != 0, real_at(asked.windows, s));
        }
    }
    bool move = device_working();
    most = 0;
    if (move) each_cell(counted); /* counted even if power fails now */
    uint64_t ends = chip_learn(move);
    PUT("8844", clipped, ends, unsettled, most);
}
#else
void verb_update(void) {} /* never called: the capability is missing */
#endif
