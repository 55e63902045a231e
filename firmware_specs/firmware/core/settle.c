/* SETTLE (PROTOCOL.md 7.7): sample by sample, every phase of a sample in one go, states where the reply wants them. */
#include "optional/update.h"

#define MAX_PHASES 16

static struct {
    uint32_t array, phases, batch, reads;
    uint64_t rows; /* phases x batch */
    double time_s;
    struct codes layers;
    const struct topology *on;
    struct codes block[MAX_PHASES]; /* drive codes, then those of each nudge */
} asked;

struct codes get_block(uint32_t batch) {
    uint32_t width = get_width(), columns = get(4);
    return get_codes(width, (uint64_t)batch * columns);
}

static bool parse(void) {
    asked.array = get(2);
    uint32_t flags = get_within(1, 0, 1, "flags are 0 or 1");
    asked.phases = 1 + get_within(1, 0, MAX_PHASES - 1, "at most 15 nudged phases");
    asked.batch = get_within(4, 1, UINT32_MAX, "at least one sample");
    asked.reads = get_reads();
    asked.time_s = get_real(8, 0, DBL_MAX, "time_s is 0 or more");
    asked.layers = get_codes(1, get(1));
    for (uint32_t i = 0; i < asked.layers.count; i++)
        require((int8_t)code_at(asked.layers, i) >= -1, "a layer is -1 or a number");
    for (uint32_t p = 0; p < asked.phases; p++) asked.block[p] = get_block(asked.batch);
    for (uint32_t n = flags ? get(1) : 0; n > 0; n--) (void)get_block(asked.batch);
    done();
    allow(!flags, ERR_UNSUPPORTED, 6, "start states: this device cannot");
    allow(codes_within(asked.layers, 0, 127), ERR_UNSUPPORTED, 20, "source currents: this device cannot");
    allow(ABLE(CAP_SETTLE_TIME) || asked.time_s == 0, ERR_UNSUPPORTED, 12, "this device has one settle time");
    if (asked.time_s == 0) asked.time_s = parameter(PARAM_SETTLE_TIME_S, 0);
    asked.rows = (uint64_t)asked.phases * asked.batch;
    return !request.code;
}

static const struct converter *dac(uint32_t phase) { return converter(phase ? CONV_NUDGE_DAC : CONV_DRIVE_DAC); }

static uint32_t units(const struct topology *on, uint32_t phase) { return on->layer[phase ? on->layers - 1 : 0].units; }

void check_range(const struct topology *on, uint32_t phase, struct codes block, uint32_t batch) {
    uint32_t largest = code_max(dac(phase)->bits);
    uint64_t codes = (uint64_t)batch * units(on, phase);
    allow(block.count == codes, ERR_OUT_OF_RANGE, 0, "a block has a column for each unit");
    allow(block.width == width_of(largest), ERR_OUT_OF_RANGE, 0, "codes have the width of their DAC");
    allow(codes_within(block, 0, largest), ERR_OUT_OF_RANGE, 0, "a code is above the DAC's largest");
}

void check_limit(uint32_t phase, struct codes block) {
    const struct converter *c = dac(phase);
    double lsb = (c->high - c->low) / code_max(c->bits);
    for (uint32_t i = 0; i < block.count; i++)
        (void)within(c->low + code_at(block, i) * lsb, LIMIT_MAX_DRIVE_A, "beyond max_drive_a");
}

static unsigned state_width(const struct layer *layer) {
    unsigned bits = converter(layer->clamped ? CONV_STATE_ADC : CONV_OUTPUT_ADC)->bits;
    return width_of((uint64_t)asked.reads * code_max(bits));
}

/* Places in the reply: flags and numbers of all rows (phases of samples) first, then a block for each layer read. */
static uint64_t block_at(uint32_t n) {
    uint64_t at = 6 + 13 * asked.rows + 4 * (uint64_t)asked.batch;
    for (uint32_t i = 0; i < n; i++) {
        const struct layer *layer = &asked.on->layer[code_at(asked.layers, i)];
        at += 5 + asked.rows * layer->units * state_width(layer);
    }
    return at;
}

static void read_states(uint32_t row) {
    for (uint32_t i = 0; i < asked.layers.count; i++) {
        uint32_t l = code_at(asked.layers, i), at = (uint32_t)block_at(i), units = asked.on->layer[l].units;
        unsigned width = state_width(&asked.on->layer[l]);
        put_at(at, 1, width);
        put_at(at + 1, 4, units);
        for (uint32_t u = 0; u < units; u++) {
            uint64_t sum = 0;
            for (uint32_t n = 0; n < asked.reads; n++) sum += chip_state(l, u);
            put_at(at + 5 + (row * units + u) * width, width, sum);
        }
    }
}

struct settled settle_phase(const struct topology *on, const struct codes *block, uint32_t p, uint32_t s, double time_s) {
    uint32_t rest = (uint32_t)(-dac(1)->low / (dac(1)->high - dac(1)->low) * code_max(dac(1)->bits) + 0.5);
    for (uint32_t u = 0, n = units(on, 0); !p && u < n; u++) chip_drive(u, code_at(block[0], (uint64_t)s * n + u));
    for (uint32_t u = 0, n = units(on, 1); u < n; u++) chip_nudge(u, p ? code_at(block[p], (uint64_t)s * n + u) : rest);
    return chip_settle(time_s, p == 0);
}

static void run_sample(uint32_t sample) {
    uint32_t rows = (uint32_t)asked.rows, largest = code_max(dac(0)->bits), clipped = 0, n = units(asked.on, 0);
    for (uint32_t u = 0; u < n; u++) /* 0, or the largest */
        clipped += code_at(asked.block[0], (uint64_t)sample * n + u) % largest == 0;
    put_at(6 + 13 * rows + 4 * sample, 4, clipped);
    for (uint32_t p = 0; p < asked.phases && (!p || device_working()); p++) {
        struct settled settled = settle_phase(asked.on, asked.block, p, sample, asked.time_s);
        uint32_t row = p * asked.batch + sample;
        put_at(6 + row, 1, settled.residual <= (float)parameter(PARAM_SETTLE_TOLERANCE, 1e-3));
        put_at(6 + rows + 4 * row, 4, settled.iterations);
        put_at(6 + 5 * rows + 4 * row, 4, f32(asked.time_s));
        put_at(6 + 9 * rows + 4 * row, 4, f32(settled.residual));
        read_states(row);
    }
}

void verb_settle(void) {
    if (!parse() || !(asked.on = placed(asked.array)) || !reads_ok(asked.reads)) return;
    allow(codes_within(asked.layers, 0, asked.on->layers - 1u), ERR_OUT_OF_RANGE, 0, "there is no such layer");
    for (uint32_t p = 0; p < asked.phases; p++) check_range(asked.on, p, asked.block[p], asked.batch);
    for (uint32_t p = 0; p < asked.phases && !request.code; p++) check_limit(p, asked.block[p]);
    if (request.code || !reply_fits(block_at(asked.layers.count))) return;
    PUT("141", asked.phases, asked.batch, asked.layers.count);
    for (uint32_t s = 0; s < asked.batch && device_working(); s++) run_sample(s);
    request.length = (uint32_t)block_at(asked.layers.count);
}
