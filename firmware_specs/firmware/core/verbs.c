/* The verbs and the order of checks (PROTOCOL.md section 7), and what a device says of itself. */
#include <string.h>

#include "core.h"

static bool reset;

bool reset_asked(void) {
    bool asked = reset;
    reset = false;
    return asked;
}

static bool verb_identify(void) {
    put_text(BOARD_VENDOR);
    put_text(BOARD_MODEL);
    put_text(port_serial());
    put_text(BOARD_FIRMWARE);
    put(1, PROTOCOL_VERSION);
    put(4, device.boot);
    put(8, BOARD_CAPABILITIES);
    return true;
}

static bool verb_fabric(void) {
    static const uint32_t fixed[] = BOARD_LAYERS;
    put(1, 0); /* Hopfield */
    put(2, BOARD_ARRAYS);
    put(2, BOARD_MAX_LAYERS);
    put(4, BOARD_MAX_UNITS);
    put(4, BOARD_MAX_ROWS);
    put(4, BOARD_MAX_COLUMNS);
    put(1, sizeof fixed / sizeof *fixed - 1);
    for (const uint32_t *size = fixed; *size; size++) put(4, *size);
    return true;
}

static double seconds(uint64_t micros) { return (double)micros * 1e-6; }

bool verb_status(void) {
    uint64_t now = port_micros(), silent = now - device.fed;
    bool runs = device.state == STATE_ARMED && silent < device.watchdog;
    put(1, device.state);
    put(1, device.trip);
    put_f64(seconds(device.watchdog));
    put_f64(runs ? seconds(device.watchdog - silent) : 0);
    put_f64(seconds(now - device.started));
    put(8, device.transactions);
    put(4, device.damaged);
    put(4, device.faults);
    put_text(device.owner);
    return true;
}

/* As many entries as fit; a host asks on from the next number. */
bool verb_fault_log(void) {
    uint32_t first = (uint32_t)get(4), most = (uint32_t)get(2), count = 0;
    if (!done()) return false;
    uint32_t kept = device.faults < BOARD_FAULTS ? device.faults : BOARD_FAULTS;
    put(4, device.faults);
    put(2, 0);
    for (uint32_t n = device.faults - kept; n < device.faults && count < most; n++) {
        const struct fault *fault = &device.log[n % BOARD_FAULTS];
        const char *words = fault_words(fault->code);
        if (n < first) continue;
        if (request.length + 16 + strlen(words) > MAX_MESSAGE) break;
        put(4, fault->number);
        put_f64(seconds(fault->micros));
        put(2, fault->code);
        put_text(words);
        count++;
    }
    put_at(4, 2, count);
    return true;
}

static bool cool(void) {
    unsigned cause = device_cause();
    return !cause || refuse(ERR_TRIPPED, cause, "the cause of a trip lasts: too hot, hardware or emergency stop");
}

bool verb_clear(void) {
    if (!cool()) return false;
    if (device.state == STATE_TRIPPED) device.state = STATE_SAFE;
    device.trip = TRIP_NONE;
    device.unseen = false;
    return true;
}

static bool verb_self_test(void) {
    if (device.state != STATE_SAFE) return refuse(ERR_CONFLICT, device.state, "in SAFE only: DISARM or CLEAR first");
    double kelvin = port_kelvin();
    bool healthy = port_cause() != TRIP_HARDWARE, plausible = kelvin > 200 && kelvin < 500;
    put(1, healthy && plausible);
    put(2, 2);
    put(1, healthy);
    put_f64(port_cause());
    put_text("hardware");
    put(1, plausible);
    put_f64(kelvin);
    put_text("temperature");
    return true;
}

static bool verb_reset(void) {
    device_disarm();
    reset = true;
    return true;
}

static bool verb_echo(void) {
    memcpy(request.out, request.in, request.size);
    request.length = request.size;
    return true;
}

static bool verb_heartbeat(void) { return true; }

bool verb_watchdog(void) {
    double wanted = get_f64("seconds are 0.01 to 60");
    require(wanted >= 0.01 && wanted <= 60, "seconds are 0.01 to 60");
    if (!done()) return false;
    device.watchdog = (uint64_t)(wanted * 1e6);
    device.fed = port_micros();
    put_f64(seconds(device.watchdog));
    return true;
}

bool verb_arm(void) {
    if (device.state == STATE_TRIPPED) return refuse(ERR_TRIPPED, device.trip, "tripped: CLEAR first");
    if (!cool()) return false;
    if (!device.watchdog) return refuse(ERR_NO_WATCHDOG, 0, "set WATCHDOG before outputs go on");
    if (device.state == STATE_SAFE) {
        device.state = STATE_ARMED;
        device.fed = port_micros();
        port_outputs(1);
    }
    put_f64(seconds(device.watchdog));
    return true;
}

static bool verb_disarm(void) {
    device_disarm();
    return true;
}

static bool verb_temperature(void) {
    put_f64(port_kelvin());
    return true;
}

/* Verbs as the protocol has them, whether their request is empty, and what runs them here. */
static const struct verb {
    uint8_t opcode;
    bool armed;
    uint64_t capability;
    bool empty, (*run)(void);
} verbs[] = {
    {RULE_IDENTIFY, true, verb_identify},        {RULE_FABRIC, true, verb_fabric},
    {RULE_CONVERTERS, true, verb_converters},    {RULE_PARAMETERS, true, verb_parameters},
    {RULE_LIMITS, true, verb_limits},            {RULE_SET_LIMITS, false, verb_set_limits},
    {RULE_STATUS, true, verb_status},            {RULE_FAULT_LOG, false, verb_fault_log},
    {RULE_CLEAR, true, verb_clear},              {RULE_SELF_TEST, true, verb_self_test},
    {RULE_RESET, true, verb_reset},              {RULE_ECHO, false, verb_echo},
    {RULE_HEARTBEAT, true, verb_heartbeat},      {RULE_WATCHDOG, false, verb_watchdog},
    {RULE_ARM, true, verb_arm},                  {RULE_DISARM, true, verb_disarm},
    {RULE_CONFIGURE, false, verb_configure},     {RULE_TOPOLOGY, false, verb_topology},
    {RULE_WRITE_CELLS, false, verb_write_cells}, {RULE_READ_CELLS, false, verb_read_cells},
    {RULE_PULSE, false, verb_pulse},             {RULE_MEASURE, false, verb_measure},
    {RULE_USAGE, false, verb_usage},             {RULE_SETTLE, false, verb_settle},
    {RULE_PRODUCT, false, NULL},                 {RULE_TEMPERATURE, true, verb_temperature},
    {RULE_SET_TEMPERATURE, false, NULL},         {RULE_CLOCK, true, NULL},
    {RULE_WAIT, false, NULL},                    {RULE_SNAPSHOT, true, NULL},
    {RULE_RESTORE, false, NULL},
};

static uint32_t bit_of(uint64_t capability) {
    uint32_t bit = 0;
    while (capability >>= 1) bit++;
    return bit;
}

static bool run(uint8_t opcode) {
    const struct verb *verb = verbs, *end = verbs + sizeof verbs / sizeof *verbs;
    while (verb < end && verb->opcode != opcode) verb++;
    if (verb == end) return refuse(ERR_UNKNOWN_OPCODE, opcode, "no such opcode: see section 7 of the protocol");
    if (!verb->run || (verb->capability && !(verb->capability & (BOARD_CAPABILITIES))))
        return refuse(ERR_UNSUPPORTED, bit_of(verb->capability), "this device cannot: see its capabilities");
    if (verb->armed && device.state == STATE_SAFE) return refuse(ERR_NOT_ARMED, 0, "outputs are off: ARM first");
    if (verb->armed && device.state == STATE_TRIPPED)
        return refuse(ERR_TRIPPED, device.trip, "tripped: CLEAR and ARM first");
    if (verb->empty && !done()) return false;
    return verb->run();
}

bool execute(uint8_t opcode) {
    device_poll();
    device.transactions++;
    bool fine = run(opcode) && !request.code;
    device.fed = port_micros(); /* a request being executed counts as traffic, however long it took */
    return fine;
}
