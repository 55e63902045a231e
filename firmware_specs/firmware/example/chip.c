/* Skeleton of chip.h for a real array: DACs, ADCs, pulses. Compiled against no vendor's headers: what is declared under
 * "yours" stands for your drivers of them. The core has checked every place and code, and keeps outputs on meanwhile. */
#include "chip.h"

#include "codes.h"
#include "core.h"

/* --- yours --------------------------------------------------------------------------------------------------- */
enum dac { DRIVE_DAC, NUDGE_DAC, ROW_DAC, PULSE_DAC };
void dac_write(enum dac dac, uint32_t channel, uint32_t code);
uint32_t adc_read(uint32_t channel);              /* one conversion */
void mux_select(unsigned coupling, unsigned plane, uint32_t row, uint32_t column);
void pulse_fire(int positive, double seconds);    /* on the selected cell, at the height the pulse DAC has */
double cell_amperes(double volts);                /* selected cell, by the transimpedance amplifier */
void wait_seconds(double seconds);                /* calls port_kick meanwhile */
struct wear nvm_wear(struct cell cell);    /* FRAM or flash: budgets outlive power */
void nvm_worn(struct cell cell, uint32_t pulses, double joules);
enum { FIRST_STATE_CHANNEL = 0, UNITS_PER_BOARD_LAYER = BOARD_MAX_UNITS };

void chip_place(const struct topology *topology) {
    (void)topology; /* connect the layers, park lines that are not used at 0 V */
}

void chip_drive(uint32_t unit, uint32_t code) { dac_write(DRIVE_DAC, unit, code); }

void chip_nudge(uint32_t unit, uint32_t code) { dac_write(NUDGE_DAC, unit, code); }

struct settled chip_settle(double seconds, int start) {
    (void)start;            /* the array finds the free equilibrium again by itself */
    wait_seconds(seconds);
    return (struct settled){0, 0}; /* it does not iterate; a board that looks twice says how much still moved */
}

uint32_t chip_state(unsigned layer, uint32_t unit) {
    return adc_read(FIRST_STATE_CHANNEL + layer * UNITS_PER_BOARD_LAYER + unit);
}

/* Pulses until the cell reads what was asked, or your limit of tries. */
void chip_write(struct cell cell, uint32_t code) {
    for (int tries = 0; tries < 100; tries++) {
        uint32_t now = chip_read(cell);
        if (now == code) return;
        chip_pulse(cell, now < code, 1.0, 1e-6);
    }
}

uint32_t chip_read(struct cell cell) {
    double low = parameter(PARAM_G_MIN_S, 0), high = parameter(PARAM_G_MAX_S, 1), volts = 0.1;
    double share = (chip_current(cell, volts) / volts - low) / (high - low);
    uint32_t most = code_max((unsigned)parameter(PARAM_CELL_BITS, 8));
    return share <= 0 ? 0 : share >= 1 ? most : (uint32_t)(share * most + 0.5);
}

void chip_pulse(struct cell cell, int up, double volts, double seconds) {
    mux_select(cell.coupling, cell.plane, cell.row, cell.column);
    dac_write(PULSE_DAC, 0, (uint32_t)(volts * 1000)); /* millivolts, say */
    pulse_fire(up, seconds);
}

double chip_current(struct cell cell, double volts) {
    mux_select(cell.coupling, cell.plane, cell.row, cell.column);
    return cell_amperes(volts);
}

struct wear chip_wear(struct cell cell) { return nvm_wear(cell); }

void chip_worn(struct cell cell, uint32_t pulses, double joules) { nvm_worn(cell, pulses, joules); }
