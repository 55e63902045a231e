/* State of the device around its array: outputs, watchdog, trips, fault log (PROTOCOL.md section 6). */
#include <string.h>

#include "core.h"

struct device device;

static const struct converter converters[] = BOARD_CONVERTERS;
static const double absolute[LIMIT_COUNT] = BOARD_LIMITS;
static const struct {
    uint16_t id;
    double value;
} parameters[] = BOARD_PARAMETERS;

const struct converter *converter(unsigned id) {
    for (size_t i = 0; i < COUNT(converters); i++)
        if (converters[i].id == id) return &converters[i];
    return NULL;
}

uint32_t code_max(unsigned bits) { return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1; }

double parameter(unsigned id, double missing) {
    for (size_t i = 0; i < COUNT(parameters); i++)
        if (parameters[i].id == id) return parameters[i].value;
    return missing;
}

static void off(uint8_t state) {
    port_outputs(0);
    device.state = state;
}

void device_power_on(void) {
    off(STATE_SAFE);
    device.trip = TRIP_NONE;
    device.watchdog = 0;
    device.owner[0] = 0;
    device.boot = 0;
    device.reset = false;
    memcpy(device.active, absolute, sizeof absolute);
    topology_reset();
}

void device_disarm(void) {
    if (device.state == STATE_ARMED) off(STATE_SAFE);
}

void device_trip(unsigned cause) {
    if (device.state != STATE_ARMED || cause == TRIP_NONE) return; /* nothing trips that is off */
    off(STATE_TRIPPED);
    device.trip = (uint8_t)cause;
    struct fault *fault = &device.log[device.faults % BOARD_FAULTS];
    *fault = (struct fault){device.faults++, port_micros() - device.started, (uint16_t)(TRIP_FAULT + cause)};
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

const char *fault_words(unsigned code) {
    static const char *const words[] = {"", "watchdog ran out", "too hot", "link lost", "hardware", "emergency stop"};
    return code - TRIP_FAULT < COUNT(words) ? words[code - TRIP_FAULT] : "fault";
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
    for (size_t i = 0; i < COUNT(parameters); i++) PUT("28", parameters[i].id, f64(parameters[i].value));
}

void verb_limits(void) {
    for (unsigned i = 0; i < LIMIT_COUNT; i++) put(8, f64(absolute[i]));
    for (unsigned i = 0; i < LIMIT_COUNT; i++) put(8, f64(device.active[i]));
}

static double get_limit(unsigned field) {
    bool endless = field == LIMIT_MAX_ENERGY_PER_CELL_J || field == LIMIT_MAX_SOURCE_V;
    double value = get_real(8, ABOVE_0, endless ? INFINITY : DBL_MAX, "a limit is positive");
    bool whole = field != LIMIT_MAX_PULSES_PER_CELL || value >= 9e15 || value == (double)(uint64_t)value;
    return require(whole, "a number of pulses is whole") ? value : 0;
}

void verb_set_limits(void) {
    double wanted[LIMIT_COUNT];
    for (unsigned i = 0; i < LIMIT_COUNT; i++) wanted[i] = get_limit(i);
    done();
    allow(device.state != STATE_TRIPPED, ERR_CONFLICT, STATE_TRIPPED, "in SAFE or ARMED only: CLEAR first");
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        bool grows = wanted[i] > device.active[i];
        allow(wanted[i] <= absolute[i], ERR_OUT_OF_RANGE, i, "above the absolute limit");
        allow(!grows || device.state == STATE_SAFE, ERR_CONFLICT, STATE_ARMED, "limits grow only with outputs off");
    }
    for (unsigned i = 0; i < LIMIT_COUNT && !request.code; i++) put(8, f64(device.active[i] = wanted[i]));
}
