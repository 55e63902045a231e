/* Cells: write, read, pulse, measure, count (PROTOCOL.md 7.6). All checks come before the first cell is touched. */
#include "optional/update.h"

/* WRITE_CELLS goes through its request several times, a check each time: what it asks for and what came of it. */
static struct writing {
    uint32_t array, rewrites, patches, first; /* first: where the first patch begins */
    double tolerance;
    uint64_t written, pulses, missed;
} asked;

struct region {
    uint32_t start, array, coupling, plane, row, rows, column, columns; /* start: where in the request it begins */
    uint64_t cells;
    bool listed; /* of patches alone: cells at `positions`, else all in order */
    struct codes positions, codes;
};

static struct region get_region(bool patch) {
    uint32_t start = request.at, array = patch ? asked.array : get(2), coupling = get(2), plane = get(1);
    bool listed = patch && get_within(1, 0, 1, "form is 0 or 1");
    uint32_t row = get(4), rows = get_within(4, 1, UINT32_MAX, "a region has rows");
    uint32_t column = get(4), columns = get_within(4, 1, UINT32_MAX, "a region has columns");
    uint64_t cells = (uint64_t)rows * columns;
    return (struct region){start, array, coupling, plane, row, rows, column, columns, cells, .listed = listed};
}

uint32_t get_reads(void) { return get_within(2, 1, UINT16_MAX, "at least one read"); }

static bool exists(const struct region *r) {
    const struct topology *t = placed(r->array);
    if (!t || !allow(r->coupling < t->couplings, ERR_OUT_OF_RANGE, r->coupling, "there is no such coupling") ||
        !allow(r->plane < PLANES, ERR_OUT_OF_RANGE, r->plane, "there is no such plane"))
        return false;
    const struct coupling *c = &t->coupling[r->coupling];
    bool inside = (uint64_t)r->row + r->rows <= c->rows && (uint64_t)r->column + r->columns <= c->columns;
    return allow(inside, ERR_OUT_OF_RANGE, 0, "the region goes beyond the coupling's cells");
}

static uint32_t position_of(const struct region *r, uint32_t i) { return r->listed ? code_at(r->positions, i) : i; }

static struct cell cell_at(const struct region *r, uint32_t i) {
    uint32_t at = position_of(r, i);
    return (struct cell){r->coupling, r->plane, r->row + at / r->columns, r->column + at % r->columns};
}

bool within(double value, unsigned limit, const char *words) {
    double most = device.active[limit] * (1 + 1e-9); /* limits hold up to rounding */
    return allow(value <= most && value >= -most, ERR_LIMIT, limit, words);
}

void afford(struct cell cell, uint32_t at, uint32_t pulses, double more_j) {
    struct wear worn = chip_wear(cell);
    double total = (double)worn.pulses + pulses, total_j = worn.joules + more_j;
    bool few = !pulses || (total <= device.active[LIMIT_MAX_PULSES_PER_CELL] && total <= UINT32_MAX);
    bool fine = few && ((!pulses && more_j <= 0) || total_j <= device.active[LIMIT_MAX_ENERGY_PER_CELL_J]);
    allow(fine, ERR_BUDGET, at, "beyond the budget of pulses or energy of a cell");
}

bool reads_ok(uint32_t reads) {
    return allow(reads <= parameter(PARAM_MAX_READS, 1), ERR_OUT_OF_RANGE, reads, "more reads than max_reads");
}

static uint32_t cell_max(void) { return code_max((unsigned)parameter(PARAM_CELL_BITS, 1)); }

static struct region get_patch(void) {
    struct region p = get_region(true);
    uint64_t count = p.listed ? get(4) : p.cells;
    if (p.listed) p.positions = get_codes(4, count);
    for (uint32_t i = 0; i < p.positions.count; i++) {
        uint32_t here = code_at(p.positions, i);
        require(here < p.cells && (!i || here > code_at(p.positions, i - 1)), "positions rise, in the region");
    }
    p.codes = get_codes(get_width(), count);
    return p;
}

static bool each_patch(void (*step)(const struct region *)) {
    request.at = asked.first;
    for (uint32_t n = 0; n < asked.patches && !request.code; n++) {
        struct region p = get_patch();
        step(&p);
    }
    return !request.code;
}

static bool meet(uint64_t a, uint32_t as, uint64_t b, uint32_t bs) { return a < b + bs && b < a + as; }

static void apart(const struct region *p) { /* from those before it */
    uint32_t end = request.at;
    request.at = asked.first;
    while (request.at < p->start && !request.code) {
        struct region b = get_patch();
        bool overlap = p->coupling == b.coupling && p->plane == b.plane && meet(p->row, p->rows, b.row, b.rows) &&
                       meet(p->column, p->columns, b.column, b.columns);
        allow(!overlap, ERR_MALFORMED, p->start, "regions of patches overlap");
    }
    request.at = end;
}

static void in_range(const struct region *p) {
    (void)exists(p);
    allow(p->codes.width == width_of(cell_max()), ERR_OUT_OF_RANGE, 0, "codes have the width of cell_bits");
    allow(codes_within(p->codes, 0, cell_max()), ERR_OUT_OF_RANGE, 0, "a code is above the largest conductance");
}

static void affordable(const struct region *p) {
    double most_j = (1 + asked.rewrites) * BOARD_WRITE_ENERGY_J;
    for (uint32_t i = 0; i < p->codes.count; i++) afford(cell_at(p, i), position_of(p, i), 1 + asked.rewrites, most_j);
}

static void write(const struct region *p) {
    for (uint32_t i = 0; i < p->codes.count && device_working(); i++) {
        struct cell cell = cell_at(p, i);
        uint32_t code = code_at(p->codes, i), round = 0;
        bool missed;
        do {
            chip_write(cell, code);
            chip_worn(cell, 1, BOARD_WRITE_ENERGY_J);
            asked.pulses++;
            double off = asked.rewrites ? (double)chip_read(cell) - code : 0;
            missed = (off < 0 ? -off : off) > asked.tolerance * cell_max();
        } while (missed && round++ < asked.rewrites);
        asked.written++;
        asked.missed += missed;
    }
}

void verb_write_cells(void) {
    uint32_t array = get(2), verify = get(2), rewrites = verify == WRITE_ONCE ? 0 : verify;
    double tolerance = get_real(4, -FLT_MAX, FLT_MAX, "tolerance is a finite number");
    uint32_t patches = get(2);
    asked = (struct writing){array, rewrites, patches, .first = request.at, .tolerance = tolerance};
    if (!each_patch(apart) || !done()) return;
    allow(ABLE(CAP_VERIFY) || !asked.rewrites, ERR_UNSUPPORTED, 22, "write-verify: this device cannot");
    if (placed(array) && each_patch(in_range) && each_patch(affordable) && each_patch(write))
        PUT("888", asked.written, asked.pulses, asked.missed);
}

void verb_read_cells(void) {
    struct region r = get_region(false);
    uint32_t reads = get_reads();
    unsigned width = width_of((uint64_t)reads * cell_max());
    if (!done() || !exists(&r) || !reads_ok(reads) || !reply_fits(9 + r.cells * width)) return;
    PUT("441", r.rows, r.columns, width);
    for (uint32_t i = 0; i < r.cells && device_working(); i++) {
        uint64_t sum = 0;
        for (uint32_t n = 0; n < reads; n++) sum += chip_read(cell_at(&r, i));
        put(width, sum);
    }
}

void verb_pulse(void) {
    struct region r = get_region(false);
    bool up = get_within(1, 0, 1, "polarity is 0 or 1");
    double volts = get_real(8, ABOVE_0, DBL_MAX, "amplitude is above 0");
    double width_s = get_real(8, ABOVE_0, DBL_MAX, "width is above 0");
    bool each = get_within(1, 0, 1, "form is 0 or 1");
    struct codes counts = get_codes(each ? 2 : 4, each ? r.cells : 1);
    if (!done() || !exists(&r)) return;
    (void)within(volts, LIMIT_MAX_PULSE_V, "beyond max_pulse_v");
    (void)within(width_s, LIMIT_MAX_PULSE_S, "beyond max_pulse_s");
    double most_j = volts * volts * width_s * parameter(PARAM_G_MAX_S, 0);
    for (uint32_t i = 0, n; i < r.cells && !request.code; i++)
        n = code_at(counts, each ? i : 0), afford(cell_at(&r, i), i, n, n * most_j);
    uint64_t delivered = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < r.cells && !request.code; i++) {
        struct cell cell = cell_at(&r, i);
        for (uint32_t n = code_at(counts, each ? i : 0); n && device_working(); n--, delivered++) {
            chip_worn(cell, 1, volts * chip_current(cell, volts) * width_s); /* counted even if power fails now */
            chip_pulse(cell, up, volts, width_s);
        }
        uint32_t has = chip_wear(cell).pulses;
        if (has > most) most = has;
    }
    PUT("84", delivered, most);
}

void verb_measure(void) {
    struct region r = get_region(false);
    uint32_t reads = get_reads(), n = get_within(2, 1, UINT16_MAX, "at least one voltage");
    struct codes volts = get_codes(8, n);
    for (uint32_t i = 0; i < volts.count; i++) require(isfinite(real_at(volts, i)), "a voltage is a finite number");
    if (!done() || !exists(&r) || !reads_ok(reads)) return;
    for (uint32_t i = 0; i < n; i++) (void)within(real_at(volts, i), LIMIT_MAX_READ_V, "beyond max_read_v");
    uint64_t each = reads * r.cells, all = n * each;
    if (!reply_fits(4 + 8 * all)) return;
    put(4, all);
    for (uint32_t i = 0; i < all && device_working(); i++)
        put(8, f64(chip_current(cell_at(&r, (uint32_t)(i % r.cells)), real_at(volts, i / each))));
}

void verb_usage(void) {
    struct region r = get_region(false);
    if (!done() || !exists(&r) || !reply_fits(8 + 12 * r.cells)) return;
    PUT("44", r.rows, r.columns);
    for (uint64_t i = 0; i < 2 * r.cells; i++) { /* pulses of all, then energies of all */
        struct wear worn = chip_wear(cell_at(&r, (uint32_t)(i % r.cells)));
        if (i < r.cells) put(4, worn.pulses);
        else put(8, f64(worn.joules));
    }
}
