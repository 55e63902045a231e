/* Cells: write, read, pulse, measure, count (PROTOCOL.md 7.6). All checks come before the first cell is touched. */
#include "core.h"

struct region {
    uint32_t array, coupling, plane, row, rows, column, columns;
    uint64_t cells;
};

/* `listed`: where a region of WRITE_CELLS says whether positions follow. */
static struct region get_region(uint32_t array, bool *listed) {
    struct region r = {.array = array};
    r.coupling = (uint32_t)get(2);
    r.plane = (uint32_t)get(1);
    if (listed) *listed = get_within(1, 0, 1, "form is 0 or 1");
    r.row = (uint32_t)get(4);
    r.rows = get_within(4, 1, UINT32_MAX, "a region has rows");
    r.column = (uint32_t)get(4);
    r.columns = get_within(4, 1, UINT32_MAX, "a region has columns");
    r.cells = (uint64_t)r.rows * r.columns;
    return r;
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

static struct cell cell_at(const struct region *r, uint32_t position) {
    return (struct cell){r->coupling, r->plane, r->row + position / r->columns, r->column + position % r->columns};
}

static bool within(double value, unsigned limit, const char *words) {
    double most = device.active[limit] * ROUNDING;
    return allow(value <= most && value >= -most, ERR_LIMIT, limit, words);
}

static bool afford(const struct region *r, uint32_t position, uint64_t pulses, double joules) {
    struct cell cell = cell_at(r, position);
    struct wear worn = chip_wear(&cell);
    uint64_t total = worn.pulses + pulses;
    bool few = (double)total <= device.active[LIMIT_MAX_PULSES_PER_CELL] && total <= UINT32_MAX;
    bool fine = !pulses || (few && worn.joules + joules <= device.active[LIMIT_MAX_ENERGY_PER_CELL_J]);
    return allow(fine, ERR_BUDGET, position, "beyond the budget of pulses or energy of a cell");
}

bool reads_ok(uint32_t reads) {
    return allow(reads <= parameter(PARAM_MAX_READS, 1), ERR_OUT_OF_RANGE, reads, "more reads than max_reads");
}

static uint32_t cell_max(void) { return code_max((unsigned)parameter(PARAM_CELL_BITS, 1)); }

/* WRITE_CELLS goes through its request several times, a check each time: `asked` and what came of it. */
static struct writing {
    uint32_t array, rewrites, patches, first; /* first: where the first patch begins */
    double tolerance;
    uint64_t written, pulses, missed;
} asked;

struct patch {
    uint32_t start;
    struct region region;
    bool listed;
    struct codes positions, codes;
};

static struct patch get_patch(void) {
    struct patch p = {.start = request.at};
    p.region = get_region(asked.array, &p.listed);
    uint64_t count = p.listed ? get(4) : p.region.cells;
    if (p.listed) p.positions = get_codes(4, count);
    for (uint32_t i = 0; i < p.positions.count; i++) {
        uint32_t here = code_at(&p.positions, i);
        require(here < p.region.cells && (!i || here > code_at(&p.positions, i - 1)), "positions rise, in the region");
    }
    p.codes = get_codes(get_width(), count);
    return p;
}

static bool each_patch(void (*step)(const struct patch *)) {
    request.at = asked.first;
    for (uint32_t n = 0; n < asked.patches && !request.code; n++) {
        struct patch p = get_patch();
        step(&p);
    }
    return !request.code;
}

static uint32_t position_of(const struct patch *p, uint32_t i) { return p->listed ? code_at(&p->positions, i) : i; }

static bool meet(uint32_t a, uint32_t as, uint32_t b, uint32_t bs) { return a < (uint64_t)b + bs && b < (uint64_t)a + as; }

static void apart(const struct patch *p) {
    uint32_t end = request.at;
    const struct region *a = &p->region;
    request.at = asked.first;
    while (request.at < p->start && !request.code) {
        struct region b = get_patch().region;
        bool overlap = a->coupling == b.coupling && a->plane == b.plane && meet(a->row, a->rows, b.row, b.rows) &&
                       meet(a->column, a->columns, b.column, b.columns);
        allow(!overlap, ERR_MALFORMED, p->start, "regions of patches overlap");
    }
    request.at = end;
}

static void in_range(const struct patch *p) {
    (void)exists(&p->region);
    allow(p->codes.width == width_of(cell_max()), ERR_OUT_OF_RANGE, 0, "codes have the width of cell_bits");
    allow(codes_within(&p->codes, 0, cell_max()), ERR_OUT_OF_RANGE, 0, "a code is above the largest conductance");
}

static void affordable(const struct patch *p) {
    uint64_t most = 1 + (uint64_t)asked.rewrites;
    for (uint32_t i = 0; i < p->codes.count && !request.code; i++)
        (void)afford(&p->region, position_of(p, i), most, (double)most * BOARD_WRITE_ENERGY_J);
}

static void write(const struct patch *p) {
    for (uint32_t i = 0; i < p->codes.count && device_working(); i++) {
        struct cell cell = cell_at(&p->region, position_of(p, i));
        uint32_t code = code_at(&p->codes, i), round = 0;
        bool missed;
        do {
            chip_write(&cell, code);
            chip_worn(&cell, 1, BOARD_WRITE_ENERGY_J);
            asked.pulses++;
            double off = asked.rewrites ? (double)chip_read(&cell) - code : 0;
            missed = (off < 0 ? -off : off) > asked.tolerance * cell_max();
        } while (missed && round++ < asked.rewrites);
        asked.written++;
        asked.missed += missed;
    }
}

void verb_write_cells(void) {
    uint32_t array = (uint32_t)get(2), verify = (uint32_t)get(2);
    double tolerance = get_real(4, -FLT_MAX, FLT_MAX, "tolerance is a finite number");
    uint32_t patches = (uint32_t)get(2);
    asked = (struct writing){array, verify == WRITE_ONCE ? 0 : verify, patches, request.at, tolerance, 0, 0, 0};
    if (!each_patch(apart) || !done()) return;
    allow(ABLE(CAP_VERIFY) || !asked.rewrites, ERR_UNSUPPORTED, 22, "write-verify: this device cannot");
    if (placed(array) && each_patch(in_range) && each_patch(affordable) && each_patch(write))
        PUT("888", asked.written, asked.pulses, asked.missed);
}

void verb_read_cells(void) {
    struct region r = get_region((uint32_t)get(2), NULL);
    uint32_t reads = get_reads();
    unsigned width = width_of((uint64_t)reads * cell_max());
    if (!done() || !exists(&r) || !reads_ok(reads) || !reply_fits(9 + r.cells * width)) return;
    PUT("441", r.rows, r.columns, width);
    for (uint32_t i = 0; i < r.cells && device_working(); i++) {
        struct cell cell = cell_at(&r, i);
        uint64_t sum = 0;
        for (uint32_t n = 0; n < reads; n++) sum += chip_read(&cell);
        put(width, sum);
    }
}

void verb_pulse(void) {
    struct region r = get_region((uint32_t)get(2), NULL);
    bool up = get_within(1, 0, 1, "polarity is 0 or 1");
    double volts = get_real(8, ABOVE_0, DBL_MAX, "amplitude is above 0");
    double width_s = get_real(8, ABOVE_0, DBL_MAX, "width is above 0");
    bool each = get_within(1, 0, 1, "form is 0 or 1");
    struct codes counts = get_codes(each ? 2 : 4, each ? r.cells : 1);
    bool gentle = done() && exists(&r) && within(volts, LIMIT_MAX_PULSE_V, "beyond max_pulse_v");
    if (!gentle || !within(width_s, LIMIT_MAX_PULSE_S, "beyond max_pulse_s")) return;
    double most_j = volts * volts * width_s * parameter(PARAM_G_MAX_S, 0);
    for (uint32_t i = 0; i < r.cells; i++) {
        uint32_t n = code_at(&counts, each ? i : 0);
        if (!afford(&r, i, n, n * most_j)) return;
    }
    uint64_t delivered = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < r.cells; i++) {
        struct cell cell = cell_at(&r, i);
        for (uint32_t n = code_at(&counts, each ? i : 0); n && device_working(); n--, delivered++) {
            chip_worn(&cell, 1, volts * chip_current(&cell, volts) * width_s); /* counted even if power fails now */
            chip_pulse(&cell, up, volts, width_s);
        }
        uint32_t has = chip_wear(&cell).pulses;
        if (has > most) most = has;
    }
    PUT("84", delivered, most);
}

void verb_measure(void) {
    struct region r = get_region((uint32_t)get(2), NULL);
    uint32_t reads = get_reads(), n = get_within(2, 1, UINT16_MAX, "at least one voltage");
    struct codes volts = get_codes(8, n);
    for (uint32_t i = 0; i < volts.count; i++) require(isfinite(real_at(&volts, i)), "a voltage is a finite number");
    if (!done() || !exists(&r) || !reads_ok(reads)) return;
    for (uint32_t i = 0; i < n; i++)
        if (!within(real_at(&volts, i), LIMIT_MAX_READ_V, "beyond max_read_v")) return;
    uint64_t each = reads * r.cells, all = n * each;
    if (!reply_fits(4 + 8 * all)) return;
    put(4, all);
    for (uint32_t i = 0; i < all && device_working(); i++) {
        struct cell cell = cell_at(&r, (uint32_t)(i % r.cells));
        put(8, f64(chip_current(&cell, real_at(&volts, i / each))));
    }
}

void verb_usage(void) {
    struct region r = get_region((uint32_t)get(2), NULL);
    if (!done() || !exists(&r) || !reply_fits(8 + 12 * r.cells)) return;
    PUT("44", r.rows, r.columns);
    for (uint64_t i = 0; i < 2 * r.cells; i++) { /* pulses of all, then energies of all */
        struct cell cell = cell_at(&r, (uint32_t)(i % r.cells));
        struct wear worn = chip_wear(&cell);
        if (i < r.cells) put(4, worn.pulses);
        else put(8, f64(worn.joules));
    }
}
