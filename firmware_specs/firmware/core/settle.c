/* SETTLE (PROTOCOL.md 7.7): sample by sample, every phase of a sample in one go, states where the reply wants them. */
#include "core.h"

#define MAX_PHASES 16

static struct {
    uint32_t array, phases, batch, reads;
    double time_s;
    struct codes layers;
    uint32_t columns[MAX_PHASES]; /* of the block of drive codes, then of those of the nudges */
    struct codes block[MAX_PHASES];
} asked;

static struct codes get_block(uint32_t *columns) {
    uint32_t width = get_width();
    *columns = (uint32_t)get(4);
    return get_codes(width, (uint64_t)asked.batch * *columns);
}

static bool parse(void) {
    asked.array = (uint32_t)get(2);
    uint32_t flags = get_within(1, 0, 1, "flags are 0 or 1"), columns;
    asked.phases = 1 + get_within(1, 0, MAX_PHASES - 1, "at most 15 nudged phases");
    asked.batch = get_within(4, 1, UINT32_MAX, "at least one sample");
    asked.reads = get_reads();
    asked.time_s = get_f64("time_s is 0 or more");
    require(asked.time_s >= 0, "time_s is 0 or more");
    uint32_t layers = (uint32_t)get(1);
    bool sources = false;
    for (uint32_t i = 0; i < layers; i++) {
        int8_t layer = (int8_t)get(1);
        require(layer >= -1, "a layer is -1 or a number");
        sources |= layer < 0;
    }
    if (!request.code) asked.layers = (struct codes){request.in + request.at - layers, 1, layers};
    for (uint32_t p = 0; p < asked.phases; p++) asked.block[p] = get_block(&asked.columns[p]);
    uint32_t started = flags ? (uint32_t)get(1) : 0;
    for (uint32_t i = 0; i < started; i++) (void)get_block(&columns);
    done();
    allow(!flags, ERR_UNSUPPORTED, 6, "start states: this device cannot");
    allow(!sources, ERR_UNSUPPORTED, 20, "source currents: this device cannot");
    return allow(ABLE(CAP_SETTLE_TIME) || asked.time_s == 0, ERR_UNSUPPORTED, 12, "this device has one settle time");
}

static const struct converter *dac(uint32_t phase) { return converter(phase ? CONV_NUDGE_DAC : CONV_DRIVE_DAC); }

static uint32_t units_of(const struct topology *t, uint32_t phase) {
    return t->layer[phase ? t->layers - 1 : 0].units;
}

static void check_range(const struct topology *t, uint32_t phase) {
    uint32_t largest = code_max(dac(phase)->bits);
    const struct codes *block = &asked.block[phase];
    allow(asked.columns[phase] == units_of(t, phase), ERR_OUT_OF_RANGE, 0, "a block has a column for each unit");
    allow(block->width == width_of(largest), ERR_OUT_OF_RANGE, 0, "codes have the width of their DAC");
    allow(codes_within(block, 0, largest), ERR_OUT_OF_RANGE, 0, "a code is above the DAC's largest");
}

/* The codes within max_drive_a, so that no sample costs arithmetic in double precision. */
static void check_limit(uint32_t phase) {
    const struct converter *c = dac(phase);
    double most = device.active[LIMIT_MAX_DRIVE_A] * ROUNDING, lsb = (c->high - c->low) / code_max(c->bits);
    uint32_t lowest = 0, highest = code_max(c->bits);
    if (c->low < -most) lowest = (uint32_t)((-most - c->low) / lsb);
    while (c->low + lowest * lsb < -most) lowest++;
    if (c->high > most && most > c->low) highest = (uint32_t)((most - c->low) / lsb) + 1;
    while (highest && c->low + highest * lsb > most) highest--;
    allow(codes_within(&asked.block[phase], lowest, highest), ERR_LIMIT, LIMIT_MAX_DRIVE_A, "beyond max_drive_a");
}

static unsigned state_width(const struct layer *layer) {
    unsigned id = layer->clamped ? CONV_STATE_ADC : CONV_OUTPUT_ADC;
    return width_of((uint64_t)asked.reads * code_max(converter(id)->bits));
}

/* Places in the reply: flags and numbers of all phases first, then a block for each layer. */
static void read_states(const struct topology *t, uint32_t row) {
    uint32_t rows = asked.phases * asked.batch, at = 6 + 13 * rows + 4 * asked.batch;
    for (uint32_t i = 0; i < asked.layers.count; i++) {
        uint32_t l = code_at(&asked.layers, i);
        const struct layer *layer = &t->layer[l];
        unsigned width = state_width(layer);
        put_at(at, 1, width);
        put_at(at + 1, 4, layer->units);
        at += 5;
        for (uint32_t u = 0; u < layer->units; u++) {
            uint64_t sum = 0;
            for (uint32_t n = 0; n < asked.reads; n++) sum += chip_state(l, u);
            put_at(at + (row * layer->units + u) * width, width, sum);
        }
        at += rows * layer->units * width;
    }
}

static void run_phase(const struct topology *t, uint32_t phase, uint32_t sample) {
    double time_s = asked.time_s != 0 ? asked.time_s : parameter(PARAM_SETTLE_TIME_S, 0);
    struct settled settled = chip_settle(time_s, phase == 0);
    uint32_t rows = asked.phases * asked.batch, row = phase * asked.batch + sample;
    put_at(6 + row, 1, settled.residual <= (float)parameter(PARAM_SETTLE_TOLERANCE, 1e-3));
    put_at(6 + rows + 4 * row, 4, settled.iterations);
    put_f32_at(6 + 5 * rows + 4 * row, (float)time_s);
    put_f32_at(6 + 9 * rows + 4 * row, settled.residual);
    read_states(t, row);
}

static uint32_t code_of(uint32_t phase, uint32_t sample, uint32_t unit) {
    return code_at(&asked.block[phase], (uint64_t)sample * asked.columns[phase] + unit);
}

static void run_sample(const struct topology *t, uint32_t sample) {
    uint32_t outputs = units_of(t, 1), largest = code_max(dac(0)->bits), clipped = 0;
    uint32_t rest = (uint32_t)(-dac(1)->low / (dac(1)->high - dac(1)->low) * code_max(dac(1)->bits) + 0.5);
    for (uint32_t u = 0; u < units_of(t, 0); u++) {
        uint32_t code = code_of(0, sample, u);
        clipped += code == 0 || code == largest;
        chip_drive(u, code);
    }
    put_at(6 + 13 * asked.phases * asked.batch + 4 * sample, 4, clipped);
    for (uint32_t p = 0; p < asked.phases && (!p || device_working()); p++) {
        for (uint32_t u = 0; u < outputs; u++) chip_nudge(u, p ? code_of(p, sample, u) : rest);
        run_phase(t, p, sample);
    }
}

void verb_settle(void) {
    if (!parse()) return;
    const struct topology *t = placed(asked.array);
    if (!t || !reads_ok(asked.reads)) return;
    allow(codes_within(&asked.layers, 0, t->layers - 1u), ERR_OUT_OF_RANGE, 0, "there is no such layer");
    for (uint32_t p = 0; p < asked.phases; p++) check_range(t, p);
    for (uint32_t p = 0; p < asked.phases && !request.code; p++) check_limit(p);
    if (request.code) return;
    uint64_t rows = (uint64_t)asked.phases * asked.batch, length = 6 + 13 * rows + 4 * (uint64_t)asked.batch;
    for (uint32_t i = 0; i < asked.layers.count; i++) {
        const struct layer *layer = &t->layer[code_at(&asked.layers, i)];
        length += 5 + rows * layer->units * state_width(layer);
    }
    if (!reply_fits(length)) return;
    PUT("141", asked.phases, asked.batch, asked.layers.count);
    for (uint32_t s = 0; s < asked.batch && device_working(); s++) run_sample(t, s);
    request.length = (uint32_t)length;
}
