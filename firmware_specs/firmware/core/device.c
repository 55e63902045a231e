/* State of the device around its array: outputs, watchdog, trips, fault log (PROTOCOL.md section 6). */
#include "core.h"

struct device device;

static const struct converter converters[] = BOARD_CONVERTERS;
static const double absolute[LIMIT_COUNT] = BOARD_LIMITS;
static const double parameters[][2] = BOARD_PARAMETERS; /* number and value */

const struct converter *converter(unsigned id) {
    for (size_t i = 0; i < COUNT(converters); i++)
        if (converters[i].id == id) return &converters[i];
    return NULL;
}

uint32_t code_max(unsigned bits) { return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1; }

double parameter(unsigned id, double missing) {
    for (size_t i = 0; i < COUNT(parameters); i++)
        if (parameters[i][0] == id) return parameters[i][1];
    return missing;
}

static void off(uint8_t state) {
    port_outputs(0);
    device.state = state;
}

void device_power_on(void) {
    off(STATE_SAFE);
    memset(&device, 0, offsetof(struct device, unseen));
    memcpy(device.active, absolute, sizeof absolute);
    topology_reset();
}

void verb_disarm(void) {
    if (device.state == STATE_ARMED) off(STATE_SAFE);
}

void device_trip(unsigned cause) {
    if (device.state != STATE_ARMED || cause == TRIP_NONE) return; /* nothing trips that is off */
    off(STATE_TRIPPED);
    device.trip = (uint8_t)cause;
    device.log[device.faults++ % BOARD_FAULTS] = (struct fault){port_micros() - device.started, device.trip};
    device.unseen = true;
}

unsigned device_cause(void) {
    int cause = port_cause();
    if (cause) return (unsigned)cause;
    return port_kelvin() > device.active[LIMIT_MAX_TEMPERATURE_K] ? TRIP_OVER_TEMPERATURE : TRIP_NONE;
}

static bool run_out(void) {
    return device.state == STATE_ARMED && device.watchdog && port_micros() - device.fed >= device.watchdog;
}

void device_feed(void) {
    if (!run_out()) device.fed = port_micros(); /* too late is too late */
}

void device_poll(void) {
    if (run_out()) device_trip(TRIP_WATCHDOG);
    if (device.state == STATE_ARMED) device_trip(device_cause());
}

bool device_working(void) {
    port_kick();
    device.fed = port_micros(); /* a request being executed counts as traffic */
    device_poll();
    return allow(device.state == STATE_ARMED, ERR_TRIPPED, device.trip, "outputs went off meanwhile: CLEAR and ARM");
}

uint8_t device_flags(void) {
    device_poll();
    uint8_t outputs = device.state == STATE_ARMED ? FLAG_OUTPUTS_ON : device.state == STATE_TRIPPED ? FLAG_TRIPPED : 0;
    return outputs | (device.unseen ? FLAG_FAULTS : 0);
}

void hil_start(void) {
    device.started = port_micros();
    device_power_on();
    frame_reset();
    link_reset();
}

void hil_feed(const uint8_t *bytes, size_t count) {
    while (count--) frame_take(*bytes++);
}

void hil_poll(void) {
    port_kick();
    device_poll();
    link_pump();
}

void hil_link_lost(void) {
    frame_reset();
    device_trip(TRIP_LINK_LOST);
}

/* Replies that are the board's numbers. */
void verb_converters(void) {
    put(1, COUNT(converters));
    for (const struct converter *c = converters; c < converters + COUNT(converters); c++)
        PUT("111188", c->id, c->quantity, c->bits, c->ideal, f64(c->low), f64(c->high));
}

void verb_parameters(void) {
    put(2, COUNT(parameters));
    for (size_t i = 0; i < COUNT(parameters); i++) PUT("28", (uint64_t)parameters[i][0], f64(parameters[i][1]));
}

void verb_limits(void) {
    for (unsigned i = 0; i < 2 * LIMIT_COUNT; i++)
        put(8, f64(i < LIMIT_COUNT ? absolute[i] : device.active[i - LIMIT_COUNT]));
}

void verb_set_limits(void) {
    double wanted[LIMIT_COUNT];
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        bool endless = i == LIMIT_MAX_ENERGY_PER_CELL_J || i == LIMIT_MAX_SOURCE_V;
        double value = wanted[i] = get_real(8, ABOVE_0, endless ? INFINITY : DBL_MAX, "a limit is positive");
        bool whole = i != LIMIT_MAX_PULSES_PER_CELL || value >= 9e15 || value == (double)(uint64_t)value;
        require(whole, "a number of pulses is whole");
    }
    done();
    allow(device.state != STATE_TRIPPED, ERR_CONFLICT, STATE_TRIPPED, "in SAFE or ARMED only: CLEAR first");
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        bool grows = wanted[i] > device.active[i];
        allow(wanted[i] <= absolute[i], ERR_OUT_OF_RANGE, i, "above the absolute limit");
        allow(!grows || device.state == STATE_SAFE, ERR_CONFLICT, STATE_ARMED, "limits grow only with outputs off");
    }
    for (unsigned i = 0; i < LIMIT_COUNT && !request.code; i++) put(8, f64(device.active[i] = wanted[i]));
}
