/* State of the device around its array: outputs, watchdog, trips, fault log (PROTOCOL.md section 6). */
#include "core.h"

struct device device;

static const struct converter converters[] = BOARD_CONVERTERS;
static const double absolute[LIMIT_COUNT] = BOARD_LIMITS;
static const struct {
    uint16_t id;
    double value;
} parameters[] = BOARD_PARAMETERS;

const struct converter *converter(unsigned id) {
    for (size_t i = 0; i < sizeof converters / sizeof *converters; i++)
        if (converters[i].id == id) return &converters[i];
    return NULL;
}

uint32_t code_max(unsigned bits) { return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1; }

double parameter(unsigned id, double missing) {
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].id == id) return parameters[i].value;
    return missing;
}

void device_power_on(void) {
    port_outputs(0);
    device.state = STATE_SAFE;
    device.trip = TRIP_NONE;
    device.watchdog = 0;
    device.owner[0] = 0;
    device.begun = device.reset = false;
    for (unsigned i = 0; i < LIMIT_COUNT; i++) device.active[i] = absolute[i];
    topology_reset();
}

void device_begin(void) {
    if (!device.begun) device.boot = port_boot();
    device.begun = true;
}

static void off(uint8_t state) {
    port_outputs(0);
    device.state = state;
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

static void trip_by_cause(void) {
    if (device.state == STATE_ARMED) device_trip(device_cause());
}

void device_poll(void) {
    if (run_out()) device_trip(TRIP_WATCHDOG);
    trip_by_cause();
}

bool device_working(void) {
    port_kick();
    trip_by_cause();
    return allow(device.state == STATE_ARMED, ERR_TRIPPED, device.trip, "outputs went off meanwhile: CLEAR and ARM");
}

void device_feed(void) {
    if (!run_out()) device.fed = port_micros(); /* too late is too late */
}

uint8_t device_flags(void) {
    device_poll();
    return (uint8_t)((device.state == STATE_ARMED ? FLAG_OUTPUTS_ON : 0) |
                     (device.state == STATE_TRIPPED ? FLAG_TRIPPED : 0) | (device.unseen ? FLAG_FAULTS : 0));
}

const char *fault_words(unsigned code) {
    static const char *const words[] = {"", "watchdog ran out", "too hot", "link lost", "hardware", "emergency stop"};
    unsigned cause = code - TRIP_FAULT;
    return cause < sizeof words / sizeof *words ? words[cause] : "fault";
}

void hil_start(void) {
    device.started = port_micros();
    device_power_on();
    frame_reset();
    link_reset();
}

void hil_feed(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) frame_take(bytes[i]);
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
    put(1, sizeof converters / sizeof *converters);
    for (size_t i = 0; i < sizeof converters / sizeof *converters; i++) {
        const struct converter *c = &converters[i];
        PUT("1111", c->id, c->quantity, c->bits, c->ideal);
        put_f64(c->low);
        put_f64(c->high);
    }
}

void verb_parameters(void) {
    put(2, sizeof parameters / sizeof *parameters);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        put(2, parameters[i].id);
        put_f64(parameters[i].value);
    }
}

void verb_limits(void) {
    for (unsigned i = 0; i < LIMIT_COUNT; i++) put_f64(absolute[i]);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) put_f64(device.active[i]);
}

static double get_limit(unsigned field) {
    bool endless = field == LIMIT_MAX_ENERGY_PER_CELL_J || field == LIMIT_MAX_SOURCE_V;
    if (endless && request.size - request.at >= 8 && load(request.in + request.at, 8) == UINT64_C(0x7FF0000000000000)) {
        request.at += 8;
        return INFINITY;
    }
    double value = get_positive("a limit is positive");
    bool whole = field != LIMIT_MAX_PULSES_PER_CELL || value >= 9e15 || value == (double)(uint64_t)value;
    require(whole, "a number of pulses is whole");
    return value;
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
    for (unsigned i = 0; i < LIMIT_COUNT && !request.code; i++) put_f64(device.active[i] = wanted[i]);
}
