/* Cells: write, read, pulse, measure, count (PROTOCOL.md 7.6). All checks come before the first cell is touched. */
#include "core.h"

struct region {
    uint32_t coupling, plane, row, rows, column, columns;
};

static void get_place(struct region *r) {
    r->row = (uint32_t)get(4);
    r->rows = get_within(4, 1, UINT32_MAX, "a region has rows");
    r->column = (uint32_t)get(4);
    r->columns = get_within(4, 1, UINT32_MAX, "a region has columns");
}

static uint32_t get_region(struct region *r) {
    uint32_t array = (uint32_t)get(2);
    r->coupling = (uint32_t)get(2);
    r->plane = (uint32_t)get(1);
    get_place(r);
    return array;
}

static uint64_t cells_of(const struct region *r) { return (uint64_t)r->rows * r->columns; }

static bool exists(const struct topology *t, const struct region *r) {
    if (!t) return false;
    if (r->coupling >= t->couplings) return refuse(ERR_OUT_OF_RANGE, r->coupling, "there is no such coupling");
    if (r->plane >= PLANES) return refuse(ERR_OUT_OF_RANGE, r->plane, "there is no such plane");
    const struct coupling *c = &t->coupling[r->coupling];
    if ((uint64_t)r->row + r->rows > c->rows || (uint64_t)r->column + r->columns > c->columns)
        return refuse(ERR_OUT_OF_RANGE, 0, "the region goes beyond the coupling's cells");
    return true;
}

static struct cell cell_at(const struct region *r, uint32_t position) {
    return (struct cell){r->coupling, r->plane, r->row + position / r->columns, r->column + position % r->columns};
}

static bool within(double value, double most, uint32_t limit, const char *words) {
    return (value <= most * ROUNDING && value >= -most * ROUNDING) || refuse(ERR_LIMIT, limit, words);
}

static bool afford(const struct region *r, uint32_t position, uint64_t pulses, double joules) {
    struct cell cell = cell_at(r, position);
    struct wear worn = chip_wear(&cell);
    const double *active = device.active;
    if (pulses && ((double)worn.pulses + (double)pulses > active[LIMIT_MAX_PULSES_PER_CELL] ||
                   worn.pulses + pulses > UINT32_MAX || worn.joules + joules > active[LIMIT_MAX_ENERGY_PER_CELL_J]))
        return refuse(ERR_BUDGET, position, "beyond the budget of pulses or energy of a cell");
    return true;
}

bool reads_ok(uint32_t reads) {
    return reads <= parameter(PARAM_MAX_READS, 1) || refuse(ERR_OUT_OF_RANGE, reads, "more reads than max_reads");
}

static uint32_t cell_max(void) { return code_max((unsigned)parameter(PARAM_CELL_BITS, 1)); }

/* A patch of WRITE_CELLS; `positions` and `codes` point into the request. */
struct patch {
    struct region region;
    uint32_t count, width;
    const uint8_t *positions, *codes;
};

static const uint8_t *skip(uint64_t bytes) {
    if (request.code) return request.in;
    if (request.size - request.at < bytes) {
        malformed(request.at, "payload is too short");
        return request.in;
    }
    request.at += (uint32_t)bytes;
    return request.in + request.at - bytes;
}

static uint32_t get_width(void) {
    uint32_t at = request.at, width = (uint32_t)get(1);
    if (!request.code && width != 1 && width != 2 && width != 4 && width != 8) malformed(at, "width is 1, 2, 4 or 8");
    return width;
}

static struct patch get_patch(void) {
    struct patch p = {0};
    p.region.coupling = (uint32_t)get(2);
    p.region.plane = (uint32_t)get(1);
    bool listed = get_within(1, 0, 1, "form is 0 or 1");
    get_place(&p.region);
    uint64_t count = cells_of(&p.region);
    if (listed) {
        count = get(4);
        uint32_t at = request.at;
        p.positions = skip(4 * count);
        for (uint32_t i = 0; i < count && !request.code; i++) {
            uint64_t here = load(p.positions + 4 * i, 4);
            if (here >= cells_of(&p.region) || (i && here <= load(p.positions + 4 * i - 4, 4)))
                malformed(at, "positions rise and lie in the region");
        }
    }
    p.width = get_width();
    p.codes = skip(count > request.size ? UINT64_MAX : count * p.width);
    p.count = (uint32_t)count;
    return p;
}

static bool overlap(const struct region *a, const struct region *b) {
    return a->coupling == b->coupling && a->plane == b->plane && a->row < (uint64_t)b->row + b->rows &&
           b->row < (uint64_t)a->row + a->rows && a->column < (uint64_t)b->column + b->columns &&
           b->column < (uint64_t)a->column + a->columns;
}

static uint32_t position_of(const struct patch *p, uint32_t i) {
    return p->positions ? (uint32_t)load(p->positions + 4 * i, 4) : i;
}

static bool patch_ok(const struct topology *t, const struct patch *p) {
    if (!exists(t, &p->region)) return false;
    if (p->width != width_of(cell_max())) return refuse(ERR_OUT_OF_RANGE, 0, "codes have the width of cell_bits");
    for (uint32_t i = 0; i < p->count; i++)
        if (load(p->codes + i * p->width, p->width) > cell_max())
            return refuse(ERR_OUT_OF_RANGE, 0, "a code is above the largest conductance");
    return true;
}

static bool patch_affordable(const struct patch *p, uint32_t rewrites) {
    for (uint32_t i = 0; i < p->count; i++)
        if (!afford(&p->region, position_of(p, i), 1 + (uint64_t)rewrites, (1 + (double)rewrites) * BOARD_WRITE_ENERGY_J))
            return false;
    return true;
}

static void patch_write(const struct patch *p, uint32_t rewrites, double tolerance, uint64_t done_counts[3]) {
    for (uint32_t i = 0; i < p->count && device_working(); i++) {
        struct cell cell = cell_at(&p->region, position_of(p, i));
        uint32_t code = (uint32_t)load(p->codes + i * p->width, p->width);
        bool missed;
        uint32_t round = 0;
        do {
            chip_write(&cell, code);
            chip_worn(&cell, 1, BOARD_WRITE_ENERGY_J);
            done_counts[1]++;
            double off = rewrites ? (double)chip_read(&cell) - code : 0;
            missed = (off < 0 ? -off : off) > tolerance * cell_max();
        } while (missed && round++ < rewrites);
        done_counts[0]++;
        done_counts[2] += missed;
    }
}

bool verb_write_cells(void) {
    uint32_t array = (uint32_t)get(2), verify = (uint32_t)get(2), at = request.at;
    uint32_t bits = (uint32_t)get(4);
    if (!request.code && (bits >> 23 & 0xFF) == 0xFF) malformed(at, "tolerance is a finite number");
    union {
        uint32_t bits;
        float value;
    } tolerance = {bits};
    uint32_t count = (uint32_t)get(2), first = request.at;
    for (uint32_t n = 0; n < count && !request.code; n++) {
        uint32_t start = request.at;
        struct patch p = get_patch();
        uint32_t end = request.at;
        request.at = first;
        for (uint32_t m = 0; m < n && !request.code; m++) {
            struct patch other = get_patch();
            if (overlap(&p.region, &other.region)) malformed(start, "regions of patches overlap");
        }
        request.at = end;
    }
    if (!done()) return false;
    if (verify && verify != WRITE_ONCE && !((BOARD_CAPABILITIES) & CAP_VERIFY))
        return refuse(ERR_UNSUPPORTED, 22, "write-verify: this device cannot");
    const struct topology *t = placed(array);
    if (!t) return false;
    uint32_t rewrites = verify == WRITE_ONCE ? 0 : verify;
    for (int pass = 0; pass < 2; pass++) { /* all ranges, then all budgets */
        request.at = first;
        for (uint32_t n = 0; n < count && !request.code; n++) {
            struct patch p = get_patch();
            (void)(pass ? patch_affordable(&p, rewrites) : patch_ok(t, &p));
        }
    }
    uint64_t counts[3] = {0};
    request.at = first;
    for (uint32_t n = 0; n < count && !request.code; n++) {
        struct patch p = get_patch();
        patch_write(&p, rewrites, tolerance.value, counts);
    }
    for (unsigned i = 0; i < 3; i++) put(8, counts[i]);
    return !request.code;
}

bool verb_read_cells(void) {
    struct region r;
    uint32_t array = get_region(&r), reads = get_within(2, 1, UINT16_MAX, "at least one read");
    unsigned width = width_of((uint64_t)reads * cell_max());
    if (!done() || !exists(placed(array), &r) || !reads_ok(reads) || !reply_fits(9 + cells_of(&r) * width)) return false;
    put(4, r.rows);
    put(4, r.columns);
    put(1, width);
    for (uint32_t i = 0; i < cells_of(&r) && device_working(); i++) {
        struct cell cell = cell_at(&r, i);
        uint64_t sum = 0;
        for (uint32_t n = 0; n < reads; n++) sum += chip_read(&cell);
        put(width, sum);
    }
    return !request.code;
}

bool verb_pulse(void) {
    struct region r;
    uint32_t array = get_region(&r);
    bool up = get_within(1, 0, 1, "polarity is 0 or 1");
    uint32_t at = request.at;
    double volts = get_f64("amplitude is above 0");
    if (!request.code && volts <= 0) malformed(at, "amplitude is above 0");
    at = request.at;
    double width_s = get_f64("width is above 0");
    if (!request.code && width_s <= 0) malformed(at, "width is above 0");
    bool each = get_within(1, 0, 1, "form is 0 or 1");
    uint64_t cells = cells_of(&r);
    uint32_t count = each ? 0 : (uint32_t)get(4);
    const uint8_t *counts = each ? skip(cells > request.size ? UINT64_MAX : 2 * cells) : NULL;
    if (!done() || !exists(placed(array), &r) ||
        !within(volts, device.active[LIMIT_MAX_PULSE_V], LIMIT_MAX_PULSE_V, "beyond max_pulse_v") ||
        !within(width_s, device.active[LIMIT_MAX_PULSE_S], LIMIT_MAX_PULSE_S, "beyond max_pulse_s"))
        return false;
    double most_j = volts * volts * width_s * parameter(PARAM_G_MAX_S, 0);
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t n = counts ? (uint32_t)load(counts + 2 * i, 2) : count;
        if (!afford(&r, i, n, n * most_j)) return false;
    }
    uint64_t delivered = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < cells; i++) {
        struct cell cell = cell_at(&r, i);
        uint32_t n = counts ? (uint32_t)load(counts + 2 * i, 2) : count;
        for (; n && device_working(); n--, delivered++) {
            chip_worn(&cell, 1, volts * chip_current(&cell, volts) * width_s); /* counted even if power fails now */
            chip_pulse(&cell, up, volts, width_s);
        }
        uint32_t has = chip_wear(&cell).pulses;
        if (has > most) most = has;
    }
    put(8, delivered);
    put(4, most);
    return !request.code;
}

bool verb_measure(void) {
    struct region r;
    uint32_t array = get_region(&r), reads = get_within(2, 1, UINT16_MAX, "at least one read");
    uint32_t n = get_within(2, 1, UINT16_MAX, "at least one voltage"), first = request.at;
    for (uint32_t i = 0; i < n && !request.code; i++) {
        (void)get_f64("a voltage is a finite number");
        if (request.code) request.detail = first;
    }
    uint64_t values = (uint64_t)n * reads;
    if (!done() || !exists(placed(array), &r) || !reads_ok(reads)) return false;
    for (uint32_t pass = 0; pass < 2; pass++) {
        request.at = first;
        if (pass && !reply_fits(cells_of(&r) > MAX_MESSAGE ? UINT64_MAX : 4 + 8 * values * cells_of(&r))) return false;
        if (pass) put(4, values * cells_of(&r));
        for (uint32_t i = 0; i < n; i++) {
            double volts = get_f64("");
            if (!pass && !within(volts, device.active[LIMIT_MAX_READ_V], LIMIT_MAX_READ_V, "beyond max_read_v"))
                return false;
            for (uint32_t k = 0; pass && k < reads * cells_of(&r) && device_working(); k++) {
                struct cell cell = cell_at(&r, k % (uint32_t)cells_of(&r));
                put_f64(chip_current(&cell, volts));
            }
        }
    }
    return !request.code;
}

bool verb_usage(void) {
    struct region r;
    uint32_t array = get_region(&r);
    if (!done() || !exists(placed(array), &r) || !reply_fits(8 + 12 * cells_of(&r))) return false;
    put(4, r.rows);
    put(4, r.columns);
    for (uint32_t i = 0; i < cells_of(&r); i++) {
        struct cell cell = cell_at(&r, i);
        put(4, chip_wear(&cell).pulses);
    }
    for (uint32_t i = 0; i < cells_of(&r); i++) {
        struct cell cell = cell_at(&r, i);
        put_f64(chip_wear(&cell).joules);
    }
    return true;
}
