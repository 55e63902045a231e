/* COINCIDE (PROTOCOL.md 7.11), for arrays whose rows and columns can be pulsed together: slot by slot, and the cells
 * where pulses meet get one each. The request is gone through several times, a check each time. */
#include "coincide.h"

#ifdef BOARD_COINCIDE
static struct {
    uint32_t array, trains, first; /* first: where the first train begins */
    double volts, seconds, share;  /* share: what half-selected cells see of the volts */
    const struct topology *on;
} asked;

struct train {
    uint32_t coupling, plane, row, rows, column, columns, slots;
    bool up;
    struct codes row_bits, column_bits;
};

static uint32_t bytes_of(uint32_t lines) { return lines / 8 + (lines % 8 != 0); }

static struct codes get_bits(uint32_t slots, uint32_t lines) {
    uint32_t width = bytes_of(lines);
    struct codes bits = get_codes(1, (uint64_t)slots * width);
    for (uint32_t i = width - 1; lines % 8 && i < bits.count; i += width)
        require(!(bits.bytes[i] >> lines % 8), "bits beyond the last line are 0");
    return bits;
}

static struct train get_train(void) {
    uint32_t coupling = get(2), plane = get(1);
    bool up = get_within(1, 0, 1, "polarity is 0 or 1");
    uint32_t row = get(4), rows = get_within(4, 1, UINT32_MAX, "a region has rows");
    uint32_t column = get(4), columns = get_within(4, 1, UINT32_MAX, "a region has columns");
    uint32_t slots = get_within(4, 1, UINT32_MAX, "at least one slot");
    struct codes row_bits = get_bits(slots, rows), column_bits;
    column_bits = get_bits(slots, columns);
    return (struct train){coupling, plane, row, rows, column, columns, slots, up, row_bits, column_bits};
}

static bool each_train(void (*step)(const struct train *)) {
    request.at = asked.first;
    for (uint32_t n = 0; n < asked.trains && !request.code; n++) {
        struct train t = get_train();
        if (!request.code) step(&t);
    }
    return !request.code;
}

static void parsed(const struct train *t) { (void)t; }

static void in_range(const struct train *t) {
    if (!allow(t->coupling < asked.on->couplings, ERR_OUT_OF_RANGE, t->coupling, "there is no such coupling") ||
        !allow(t->plane < PLANES, ERR_OUT_OF_RANGE, t->plane, "there is no such plane"))
        return;
    const struct coupling *c = &asked.on->coupling[t->coupling];
    bool inside = (uint64_t)t->row + t->rows <= c->rows && (uint64_t)t->column + t->columns <= c->columns;
    allow(inside, ERR_OUT_OF_RANGE, 0, "the region goes beyond the coupling's cells");
}

static struct lines lines_of(const struct train *t, uint32_t slot) {
    const uint8_t *row_bits = t->row_bits.bytes + slot * bytes_of(t->rows);
    const uint8_t *column_bits = t->column_bits.bytes + slot * bytes_of(t->columns);
    return (struct lines){t->coupling, t->plane, t->row, t->rows, t->column, t->columns, row_bits, column_bits};
}

static struct { /* what all trains give one cell */
    struct cell cell;
    uint32_t whole, half;
} total;

static void add(const struct train *t) {
    struct cell c = total.cell;
    if (t->coupling != c.coupling || t->plane != c.plane || c.row < t->row || c.row - t->row >= t->rows ||
        c.column < t->column || c.column - t->column >= t->columns)
        return;
    for (uint32_t slot = 0; slot < t->slots; slot++) {
        struct lines l = lines_of(t, slot);
        bool row = pulsed(l.row_bits, c.row - t->row), column = pulsed(l.column_bits, c.column - t->column);
        total.whole += row && column;
        total.half += row != column;
    }
}

static void affordable(const struct train *t) { /* every cell of its plane; a plane again for each of its trains */
    uint32_t next = request.at, columns = asked.on->coupling[t->coupling].columns;
    double each_j = asked.volts * asked.volts * asked.seconds * parameter(PARAM_G_MAX_S, 0);
    for (uint32_t i = 0; i < asked.on->coupling[t->coupling].rows * columns && !request.code; i++) {
        struct cell cell = {t->coupling, t->plane, i / columns, i % columns};
        total.cell = cell;
        total.whole = total.half = 0;
        if (each_train(add)) afford(cell, i, total.whole, each_j * (total.whole + total.half * asked.share * asked.share));
    }
    request.at = next;
}

static uint64_t delivered;
static uint32_t most;

static void pulse(const struct train *t) {
    for (uint32_t slot = 0; slot < t->slots && device_working(); slot++) {
        struct lines l = lines_of(t, slot);
        for (uint32_t i = 0; i < t->rows * t->columns; i++) {
            struct cell cell = {t->coupling, t->plane, t->row + i / t->columns, t->column + i % t->columns};
            bool row = pulsed(l.row_bits, i / t->columns), column = pulsed(l.column_bits, i % t->columns);
            double volts = row && column ? asked.volts : row != column ? asked.volts * asked.share : 0;
            if (volts > 0) /* counted even if power fails now */
                chip_worn(cell, row && column, volts * chip_current(cell, volts) * asked.seconds);
            delivered += row && column;
        }
        chip_lines(&l, t->up, asked.volts, asked.seconds);
    }
    for (uint32_t i = 0; i < t->rows * t->columns; i++) {
        struct cell cell = {t->coupling, t->plane, t->row + i / t->columns, t->column + i % t->columns};
        uint32_t has = chip_wear(cell).pulses;
        if (has > most) most = has;
    }
}

void verb_coincide(void) {
    asked.array = get(2);
    asked.volts = get_real(8, ABOVE_0, DBL_MAX, "amplitude is above 0");
    asked.seconds = get_real(8, ABOVE_0, DBL_MAX, "width is above 0");
    asked.trains = get_within(2, 1, UINT16_MAX, "at least one train");
    asked.first = request.at;
    asked.share = parameter(PARAM_HALF_SELECT, 0.5);
    if (!each_train(parsed) || !done() || !(asked.on = placed(asked.array)) || !each_train(in_range)) return;
    bool still = asked.share * asked.volts <= parameter(PARAM_PULSE_THRESHOLD_V, 0);
    allow(still, ERR_OUT_OF_RANGE, 0, "half-selected cells would move");
    (void)within(asked.volts, LIMIT_MAX_PULSE_V, "beyond max_pulse_v");
    (void)within(asked.seconds, LIMIT_MAX_PULSE_S, "beyond max_pulse_s");
    delivered = most = 0;
    if (!request.code && each_train(affordable) && each_train(pulse)) PUT("84", delivered, most);
}
#else
void verb_coincide(void) {} /* never called: the capability is missing */
#endif
