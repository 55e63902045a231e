/* A small Hopfield array in software, for boards without a chip: chip.h in single precision, with noise.
 *
 * Layer by layer every unit goes to the minimum of the energy with the other layers held, s = clip(slope z, 0, rail)
 * where clamped and s = z within the rails where linear, until nothing moves more than the tolerance (PROTOCOL.md 7.5).
 * Cells, weights and wear are the array's own memory, not the firmware's: CHIP_MEMORY says in which section they live.
 */
#include "chip.h"

#include "codes.h"
#include "core.h"
#include "optional/coincide.h"
#include "optional/update.h"

#ifndef CHIP_MEMORY
#define CHIP_MEMORY
#endif
#define SWEEPS 200
#define CROSSBAR (BOARD_MAX_ROWS * BOARD_MAX_COLUMNS) /* every coupling has one of its own, used from its corner on */
#define CELLS (BOARD_COUPLINGS * CROSSBAR)

static CHIP_MEMORY float level[2 * BOARD_PAIRS][CELLS]; /* conductance, 0 .. 1 of its range */
static CHIP_MEMORY float weight[CELLS];
static CHIP_MEMORY uint32_t pulses[2 * BOARD_PAIRS][CELLS];
static CHIP_MEMORY double joules[2 * BOARD_PAIRS][CELLS];
static CHIP_MEMORY float state[BOARD_MAX_LAYERS][BOARD_MAX_UNITS], sum[BOARD_MAX_UNITS];
static CHIP_MEMORY float drive[BOARD_MAX_UNITS], nudge[BOARD_MAX_UNITS];
static const struct topology *topology;
static float low_rail, high_rail, rail, tolerance, g_low, g_range, unit_v, unit_a, ohm;
static bool stale;

static float uniform(void) { /* -1 .. 1 */
    static uint32_t x = 2463534242u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return (float)(int32_t)x * 4.656613e-10f;
}

static float normal(void) { return (uniform() + uniform() + uniform()) * 1.0f; } /* variance 3 x 1/3 */

void chip_place(const struct topology *t) {
    topology = t;
    unit_v = (float)parameter(PARAM_STATE_UNIT_V, 1);
    ohm = (float)parameter(PARAM_TRANSIMPEDANCE_OHM, 1);
    unit_a = unit_v / ohm;
    low_rail = (float)parameter(PARAM_LINEAR_LOW_V, -1e9) / unit_v;
    high_rail = (float)parameter(PARAM_LINEAR_HIGH_V, 1e9) / unit_v;
    rail = (float)parameter(PARAM_CLAMPED_HIGH_V, unit_v) / unit_v;
    tolerance = (float)parameter(PARAM_SETTLE_TOLERANCE, 1e-4);
    g_low = (float)parameter(PARAM_G_MIN_S, 0);
    g_range = (float)parameter(PARAM_G_MAX_S, 1) - g_low;
    stale = true;
}

static float from_dac(unsigned id, uint32_t code) {
    const struct converter *c = converter(id);
    return (float)(c->low + code * ((c->high - c->low) / code_max(c->bits))) / unit_a;
}

void chip_drive(uint32_t unit, uint32_t code) { drive[unit] = from_dac(CONV_DRIVE_DAC, code); }

void chip_nudge(uint32_t unit, uint32_t code) { nudge[unit] = from_dac(CONV_NUDGE_DAC, code); }

static float clip(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

/* Sums into one layer: forward from earlier layers (rows, the last one always at 1), backward from later ones. */
static void collect(unsigned layer) {
    uint32_t units = topology->layer[layer].units;
    bool last = layer + 1u == topology->layers;
    for (uint32_t u = 0; u < units; u++) sum[u] = (layer == 0 ? drive[u] : 0) + (last ? nudge[u] : 0);
    for (unsigned n = 0; n < topology->couplings; n++) {
        const struct coupling *c = &topology->coupling[n];
        const float *w = weight + n * CROSSBAR;
        uint32_t rows = c->rows - c->bias, columns = c->columns;
        if (c->post == layer) {
            for (uint32_t r = 0; r < c->rows; r++) {
                float s = r < rows ? state[c->pre][r] : 1.0f;
                if (s == 0) continue;
                for (uint32_t k = 0; k < columns; k++) sum[k] += s * w[r * BOARD_MAX_COLUMNS + k];
            }
        } else if (c->pre == layer) {
            for (uint32_t r = 0; r < rows; r++) {
                float a[4] = {0};
                uint32_t k = 0;
                for (; k + 4 <= columns; k += 4)
                    for (unsigned j = 0; j < 4; j++) a[j] += w[r * BOARD_MAX_COLUMNS + k + j] * state[c->post][k + j];
                for (; k < columns; k++) a[0] += w[r * BOARD_MAX_COLUMNS + k] * state[c->post][k];
                sum[r] += a[0] + a[1] + a[2] + a[3];
            }
        }
    }
}

static float relax(unsigned layer) {
    const struct layer *l = &topology->layer[layer];
    float most = 0, slope = (float)l->slope;
    collect(layer);
    for (uint32_t u = 0; u < l->units; u++) {
        float s = l->clamped ? clip(slope * sum[u], 0, rail) : clip(sum[u], low_rail, high_rail);
        float moved = s > state[layer][u] ? s - state[layer][u] : state[layer][u] - s;
        if (moved > most) most = moved;
        state[layer][u] = s;
    }
    return most;
}

static void refresh(void) {
    float scale = g_range * ohm, offset = PLANES > 1 ? 0 : g_low * ohm;
    for (uint32_t i = 0; i < topology->couplings * CROSSBAR; i++)
        weight[i] = offset + scale * (level[0][i] - (PLANES > 1 ? level[1][i] : 0));
    for (unsigned p = 2; p < PLANES; p += 2) { /* further pairs, by their significance */
        scale *= (float)parameter(PARAM_PAIR_SIGNIFICANCE, 1);
        for (uint32_t i = 0; i < topology->couplings * CROSSBAR; i++) weight[i] += scale * (level[p][i] - level[p + 1][i]);
    }
    stale = false;
}

struct settled chip_settle(double seconds, int start) {
    struct settled settled = {0, 1};
    (void)seconds; /* a model need not wait */
    if (stale) refresh();
    for (unsigned l = 0; start && l < topology->layers; l++)
        for (uint32_t u = 0; u < topology->layer[l].units; u++) state[l][u] = 0;
    while (settled.residual > tolerance && settled.iterations++ < SWEEPS) {
        settled.residual = 0;
        port_kick();
        for (unsigned l = 0; l < topology->layers; l++) {
            float moved = relax(l);
            if (moved > settled.residual) settled.residual = moved;
        }
    }
    return settled;
}

static uint32_t to_code(float share, uint32_t largest) {
    return share <= 0 ? 0 : share >= 1 ? largest : (uint32_t)(share * (float)largest + 0.5f);
}

uint32_t chip_state(unsigned layer, uint32_t unit) {
    const struct converter *c = converter(topology->layer[layer].clamped ? CONV_STATE_ADC : CONV_OUTPUT_ADC);
    float volts = state[layer][unit] * unit_v + normal() * (float)BOARD_STATE_NOISE_V;
    return to_code((volts - (float)c->low) / (float)(c->high - c->low), code_max(c->bits));
}

static uint32_t place(struct cell cell) {
    return cell.coupling * CROSSBAR + cell.row * BOARD_MAX_COLUMNS + cell.column;
}

static uint32_t largest(void) { return code_max((unsigned)parameter(PARAM_CELL_BITS, 1)); }

void chip_write(struct cell cell, uint32_t code) {
    float wanted = (float)code / (float)largest() + normal() * (float)BOARD_PROGRAMMING_NOISE;
    level[cell.plane][place(cell)] = clip(wanted, 0, 1);
    stale = true;
}

uint32_t chip_read(struct cell cell) {
    return to_code(level[cell.plane][place(cell)] + normal() * (float)BOARD_READ_NOISE, largest());
}

static const float responses[][2] = BOARD_PULSE_RESPONSES;

void chip_pulse(struct cell cell, int up, double volts, double seconds) {
    float *x = &level[cell.plane][place(cell)];
    float effort = (float)((volts - BOARD_PULSE_THRESHOLD_V) / (BOARD_PULSE_V - BOARD_PULSE_THRESHOLD_V) *
                           seconds / BOARD_PULSE_S);
    float at = *x * (COUNT(responses) - 1);
    unsigned below = at < COUNT(responses) - 2 ? (unsigned)at : COUNT(responses) - 2;
    float low = responses[below][!up], high = responses[below + 1][!up];
    float response = low + (high - low) * (at - (float)below);
    float step = (float)(BOARD_PULSE_STEP * (up ? 1 + BOARD_PULSE_ASYMMETRY : 1 - BOARD_PULSE_ASYMMETRY)) * effort;
    if (step <= 0 || response <= 0) return;
    *x = clip(*x + (up ? step : -step) * response, 0, 1);
    stale = true;
}

double chip_current(struct cell cell, double volts) {
    float x = level[cell.plane][place(cell)] + normal() * (float)BOARD_READ_NOISE;
    return (double)(g_low + g_range * clip(x, 0, 1)) * volts;
}

struct wear chip_wear(struct cell cell) {
    uint32_t at = place(cell);
    return (struct wear){pulses[cell.plane][at], joules[cell.plane][at]};
}

void chip_worn(struct cell cell, uint32_t more, double more_j) {
    uint32_t at = place(cell);
    pulses[cell.plane][at] += more;
    joules[cell.plane][at] += more_j;
}

#ifdef BOARD_COINCIDE
void chip_lines(const struct lines *l, int up, double volts, double seconds) {
    for (uint32_t r = 0; r < l->rows; r++)
        for (uint32_t k = 0; k < l->columns; k++)
            if (pulsed(l->row_bits, r) && pulsed(l->column_bits, k))
                chip_pulse((struct cell){l->coupling, l->plane, l->row + r, l->column + k}, up, volts, seconds);
}
#endif

#ifdef BOARD_UPDATE
#define HELD 3

static CHIP_MEMORY float held[HELD][BOARD_MAX_LAYERS][BOARD_MAX_UNITS], added[2][CELLS];

void chip_hold(unsigned phase) { memcpy(held[phase], state, sizeof state); }

/* What a circuit gives for a contrast, and whether it came to its limit. */
static float circuit(float contrast, int up, uint64_t *clipped) {
    float q = (float)BOARD_UPDATE_GAIN * contrast + (float)BOARD_UPDATE_BIAS, dead = (float)BOARD_UPDATE_DEAD_ZONE;
    q = q > dead ? q - dead : q < -dead ? q + dead : 0;
    *clipped += q >= (float)BOARD_UPDATE_LIMIT || q <= -(float)BOARD_UPDATE_LIMIT;
    q = clip(q, -(float)BOARD_UPDATE_LIMIT, (float)BOARD_UPDATE_LIMIT);
    return (up ? q : -q) + (float)BOARD_UPDATE_INJECTION;
}

uint64_t chip_contrast(unsigned first, unsigned second, int up, double seconds) {
    float rate = (float)(parameter(PARAM_UPDATE_RATE_PER_S, 0) * seconds);
    uint64_t clipped = 0;
    for (unsigned n = 0; n < topology->couplings && rate > 0; n++) {
        const struct coupling *c = &topology->coupling[n];
        for (uint32_t i = 0; i < c->rows * c->columns; i++) {
            uint32_t r = i / c->columns, k = i % c->columns, at = n * CROSSBAR + r * BOARD_MAX_COLUMNS + k;
            int bias = r >= c->rows - c->bias;
            float a = bias ? 1 : held[first][c->pre][r], b = bias ? 1 : held[second][c->pre][r];
            float contrast = a * held[first][c->post][k] - b * held[second][c->post][k];
            for (unsigned p = 0; p < PLANES; p++) added[p][at] += rate * circuit(p ? -contrast : contrast, up, &clipped);
        }
    }
    return clipped;
}

uint64_t chip_learn(int move) {
    uint64_t ends = 0;
    for (unsigned n = 0; n < topology->couplings; n++) {
        const struct coupling *c = &topology->coupling[n];
        for (uint32_t i = 0; i < PLANES * c->rows * c->columns; i++) {
            unsigned p = i / (c->rows * c->columns);
            uint32_t r = i / c->columns % c->rows, at = n * CROSSBAR + r * BOARD_MAX_COLUMNS + i % c->columns;
            if (move) level[p][at] = clip(level[p][at] + added[p][at], 0, 1);
            added[p][at] = 0;
            ends += level[p][at] <= 0 || level[p][at] >= 1;
        }
    }
    stale |= move != 0;
    return ends;
}
#endif
