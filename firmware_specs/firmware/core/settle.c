/* SETTLE (PROTOCOL.md 7.7): sample by sample, every phase of a sample in one go, states where the reply wants them. */
#include "core.h"

struct block {
    const uint8_t *codes;
    uint32_t width, columns;
};

static struct {
    uint32_t array, nudges, batch, reads, layers;
    double time_s;
    const uint8_t *layer;
    struct block drive, nudge[15];
} asked;

static struct block get_block(uint32_t batch) {
    struct block b = {0};
    uint32_t at = request.at;
    b.width = (uint32_t)get(1);
    if (!request.code && b.width != 1 && b.width != 2 && b.width != 4 && b.width != 8)
        malformed(at, "width is 1, 2, 4 or 8");
    b.columns = (uint32_t)get(4);
    uint64_t codes = (uint64_t)batch * b.columns;
    if (!request.code && (codes > request.size || codes * b.width > request.size - request.at))
        malformed(request.at, "payload is too short");
    if (request.code) return b;
    b.codes = request.in + request.at;
    request.at += (uint32_t)codes * b.width;
    return b;
}

static bool parse(void) {
    asked.array = (uint32_t)get(2);
    uint32_t flags = get_within(1, 0, 1, "flags are 0 or 1"), at;
    asked.nudges = get_within(1, 0, 15, "at most 15 nudged phases");
    asked.batch = get_within(4, 1, UINT32_MAX, "at least one sample");
    asked.reads = get_within(2, 1, UINT16_MAX, "at least one read");
    at = request.at;
    asked.time_s = get_f64("time_s is 0 or more");
    if (!request.code && asked.time_s < 0) malformed(at, "time_s is 0 or more");
    asked.layers = (uint32_t)get(1);
    for (uint32_t i = 0; i < asked.layers; i++) {
        at = request.at;
        if ((int8_t)get(1) < -1) malformed(at, "a layer is -1 or a number");
    }
    asked.layer = request.in + request.at - asked.layers;
    asked.drive = get_block(asked.batch);
    for (uint32_t i = 0; i < asked.nudges; i++) asked.nudge[i] = get_block(asked.batch);
    uint32_t started = flags ? (uint32_t)get(1) : 0;
    for (uint32_t i = 0; i < started; i++) (void)get_block(asked.batch);
    if (!done()) return false;
    if (flags) return refuse(ERR_UNSUPPORTED, 6, "start states: this device cannot");
    for (uint32_t i = 0; i < asked.layers; i++)
        if ((int8_t)asked.layer[i] < 0) return refuse(ERR_UNSUPPORTED, 20, "source currents: this device cannot");
    if (asked.time_s != 0 && !((BOARD_CAPABILITIES) & CAP_SETTLE_TIME))
        return refuse(ERR_UNSUPPORTED, 12, "other settle times: this device cannot");
    return true;
}

static uint32_t code_of(const struct block *b, uint32_t sample, uint32_t unit) {
    return (uint32_t)load(b->codes + ((size_t)sample * b->columns + unit) * b->width, b->width);
}

static bool range_ok(const struct block *b, unsigned id, uint32_t units) {
    uint32_t largest = code_max(converter(id)->bits);
    if (b->columns != units) return refuse(ERR_OUT_OF_RANGE, 0, "a block has as many columns as its layer units");
    if (b->width != width_of(largest)) return refuse(ERR_OUT_OF_RANGE, 0, "codes have the width of their DAC");
    for (uint32_t s = 0; s < asked.batch; s++)
        for (uint32_t u = 0; u < units; u++)
            if (code_of(b, s, u) > largest) return refuse(ERR_OUT_OF_RANGE, 0, "a code is above the DAC's largest");
    return true;
}

/* The codes within max_drive_a, so that no sample costs arithmetic in double precision. */
static bool limit_ok(const struct block *b, unsigned id) {
    const struct converter *c = converter(id);
    double most = device.active[LIMIT_MAX_DRIVE_A] * ROUNDING, lsb = (c->high - c->low) / code_max(c->bits);
    uint32_t lowest = 0, highest = code_max(c->bits);
    if (c->low < -most) lowest = (uint32_t)((-most - c->low) / lsb);
    while (c->low + lowest * lsb < -most) lowest++;
    if (c->high > most && most > c->low) highest = (uint32_t)((most - c->low) / lsb) + 1;
    while (highest && c->low + highest * lsb > most) highest--;
    for (uint32_t s = 0; s < asked.batch; s++)
        for (uint32_t u = 0; u < b->columns; u++) {
            uint32_t code = code_of(b, s, u);
            if (code < lowest || code > highest)
                return refuse(ERR_LIMIT, LIMIT_MAX_DRIVE_A, "a current is beyond max_drive_a");
        }
    return true;
}

static unsigned state_width(const struct layer *layer) {
    unsigned id = layer->clamped ? CONV_STATE_ADC : CONV_OUTPUT_ADC;
    return width_of((uint64_t)asked.reads * code_max(converter(id)->bits));
}

static const struct layer *layer_asked(const struct topology *t, uint32_t i) { return &t->layer[asked.layer[i]]; }

static bool layers_ok(const struct topology *t) {
    for (uint32_t i = 0; i < asked.layers; i++) {
        if (asked.layer[i] >= t->layers) return refuse(ERR_OUT_OF_RANGE, asked.layer[i], "there is no such layer");
    }
    return true;
}

/* Places in the reply: flags and numbers of all phases first, then a block for each layer. */
static uint32_t phases(void) { return (1 + asked.nudges) * asked.batch; }

static void read_states(const struct topology *t, uint32_t row) {
    uint32_t at = 6 + 13 * phases() + 4 * asked.batch;
    for (uint32_t i = 0; i < asked.layers; i++) {
        const struct layer *layer = layer_asked(t, i);
        unsigned width = state_width(layer);
        uint32_t codes = at + 5;
        put_at(at, 1, width);
        put_at(at + 1, 4, layer->units);
        for (uint32_t u = 0; u < layer->units; u++) {
            uint64_t sum = 0;
            for (uint32_t n = 0; n < asked.reads; n++) sum += chip_state(asked.layer[i], u);
            put_at(codes + (row * layer->units + u) * width, width, sum);
        }
        at = codes + phases() * layer->units * width;
    }
}

static void run_phase(const struct topology *t, uint32_t phase, uint32_t sample) {
    double time_s = asked.time_s != 0 ? asked.time_s : parameter(PARAM_SETTLE_TIME_S, 0);
    struct settled settled = chip_settle(time_s, phase == 0);
    uint32_t row = phase * asked.batch + sample, n = phases();
    union {
        float value;
        uint32_t bits;
    } seconds = {(float)time_s}, residual = {settled.residual};
    put_at(6 + row, 1, settled.residual <= (float)parameter(PARAM_SETTLE_TOLERANCE, 1e-3));
    put_at(6 + n + 4 * row, 4, settled.iterations);
    put_at(6 + 5 * n + 4 * row, 4, seconds.bits);
    put_at(6 + 9 * n + 4 * row, 4, residual.bits);
    read_states(t, row);
}

static void run_sample(const struct topology *t, uint32_t sample) {
    uint32_t units = t->layer[0].units, outputs = t->layer[t->layers - 1].units, clipped = 0;
    uint32_t largest = code_max(converter(CONV_DRIVE_DAC)->bits);
    const struct converter *dac = converter(CONV_NUDGE_DAC);
    uint32_t rest = (uint32_t)(-dac->low / (dac->high - dac->low) * code_max(dac->bits) + 0.5);
    for (uint32_t u = 0; u < units; u++) {
        uint32_t code = code_of(&asked.drive, sample, u);
        clipped += code == 0 || code == largest;
        chip_drive(u, code);
    }
    for (uint32_t u = 0; u < outputs; u++) chip_nudge(u, rest);
    put_at(6 + 13 * phases() + 4 * sample, 4, clipped);
    run_phase(t, 0, sample);
    for (uint32_t p = 0; p < asked.nudges && device_working(); p++) {
        for (uint32_t u = 0; u < outputs; u++) chip_nudge(u, code_of(&asked.nudge[p], sample, u));
        run_phase(t, 1 + p, sample);
    }
}

bool verb_settle(void) {
    if (!parse()) return false;
    const struct topology *t = placed(asked.array);
    if (!t || !layers_ok(t) || !reads_ok(asked.reads)) return false;
    uint32_t outputs = t->layer[t->layers - 1].units;
    if (!range_ok(&asked.drive, CONV_DRIVE_DAC, t->layer[0].units)) return false;
    for (uint32_t i = 0; i < asked.nudges; i++)
        if (!range_ok(&asked.nudge[i], CONV_NUDGE_DAC, outputs)) return false;
    if (!limit_ok(&asked.drive, CONV_DRIVE_DAC)) return false;
    for (uint32_t i = 0; i < asked.nudges; i++)
        if (!limit_ok(&asked.nudge[i], CONV_NUDGE_DAC)) return false;
    uint64_t n = (uint64_t)(1 + asked.nudges) * asked.batch, length = 6 + 13 * n + 4 * (uint64_t)asked.batch;
    for (uint32_t i = 0; i < asked.layers; i++) {
        const struct layer *layer = layer_asked(t, i);
        length += 5 + n * layer->units * state_width(layer);
    }
    if (!reply_fits(length)) return false;
    put_at(0, 1, 1 + asked.nudges);
    put_at(1, 4, asked.batch);
    put_at(5, 1, asked.layers);
    for (uint32_t s = 0; s < asked.batch && device_working(); s++) run_sample(t, s);
    request.length = (uint32_t)length;
    return !request.code;
}
