/* The verbs and the order of checks (PROTOCOL.md section 7), and what a device says of itself. */
#include "core.h"

void verb_identify(void) {
    put_text(BOARD_VENDOR);
    put_text(BOARD_MODEL);
    put_text(port_serial());
    put_text(BOARD_FIRMWARE);
    PUT("148", PROTOCOL_VERSION, device.boot, BOARD_CAPABILITIES);
}

void verb_fabric(void) {
    static const uint32_t fixed[] = BOARD_LAYERS;
    PUT("122", 0, BOARD_ARRAYS, BOARD_MAX_LAYERS); /* 0: Hopfield */
    PUT("4441", BOARD_MAX_UNITS, BOARD_MAX_ROWS, BOARD_MAX_COLUMNS, COUNT(fixed) - 1);
    for (const uint32_t *size = fixed; *size; size++) put(4, *size);
}

static uint64_t seconds(uint64_t micros) { return f64((double)micros * 1e-6); }

void verb_status(void) {
    uint64_t now = port_micros(), silent = now - device.fed;
    bool runs = device.state == STATE_ARMED && silent < device.watchdog;
    PUT("118", device.state, device.trip, seconds(device.watchdog));
    PUT("88", seconds(runs ? device.watchdog - silent : 0), seconds(now - device.started));
    PUT("844", device.transactions, device.damaged, device.faults);
    put_text(device.owner);
}

/* As many entries as fit; a host asks on from the next number. */
void verb_fault_log(void) {
    static const char *const words[] = {"", "watchdog ran out", "too hot", "link lost", "hardware", "emergency stop"};
    uint32_t first = get(4), most = get(2), count = 0;
    uint32_t oldest = device.faults < BOARD_FAULTS ? 0 : device.faults - BOARD_FAULTS;
    if (!done()) return;
    PUT("42", device.faults, 0);
    for (uint32_t n = first > oldest ? first : oldest; n < device.faults && count < most; n++, count++) {
        const struct fault *fault = &device.log[n % BOARD_FAULTS];
        if (request.length + 16 + strlen(words[fault->trip]) > MAX_MESSAGE) break;
        PUT("482", n, seconds(fault->micros), TRIP_FAULT + fault->trip);
        put_text(words[fault->trip]);
    }
    put_at(4, 2, count);
}

static bool cool(void) {
    unsigned cause = device_cause();
    return allow(!cause, ERR_TRIPPED, cause, "the cause of a trip lasts: too hot, hardware or emergency stop");
}

void verb_clear(void) {
    if (!cool()) return;
    if (device.state == STATE_TRIPPED) device.state = STATE_SAFE;
    device.trip = TRIP_NONE;
    device.unseen = false;
}

void verb_self_test(void) {
    if (!allow(device.state == STATE_SAFE, ERR_CONFLICT, device.state, "in SAFE only: DISARM or CLEAR first")) return;
    double kelvin = port_kelvin();
    bool healthy = port_cause() != TRIP_HARDWARE, plausible = kelvin > 200 && kelvin < 500;
    PUT("1218", healthy && plausible, 2, healthy, f64(port_cause()));
    put_text("hardware");
    PUT("18", plausible, f64(kelvin));
    put_text("temperature");
}

void verb_reset(void) {
    verb_disarm();
    device.reset = true;
}

void verb_watchdog(void) {
    double wanted = get_real(8, 0.01, 60, "seconds are 0.01 to 60");
    if (!done()) return;
    device.watchdog = (uint64_t)(wanted * 1e6);
    put(8, seconds(device.watchdog));
}

void verb_arm(void) {
    allow(device.state != STATE_TRIPPED, ERR_TRIPPED, device.trip, "tripped: CLEAR first");
    if (!cool() || !allow(device.watchdog, ERR_NO_WATCHDOG, 0, "set WATCHDOG before outputs go on")) return;
    if (device.state == STATE_SAFE) port_outputs(1);
    device.state = STATE_ARMED;
    put(8, seconds(device.watchdog));
}

void verb_echo(void) { put_bytes(request.in, request.size); }
void verb_heartbeat(void) {}
void verb_temperature(void) { put(8, f64(port_kelvin())); }

#define verb_product NULL /* UNSUPPORTED */
#define verb_set_temperature NULL

#define NEVER(name, function, armed, bit, empty) {OP_##name, armed, empty, bit, NULL},
#define VERB(name, function, armed, bit, empty) {OP_##name, armed, empty, bit, verb_##function},
static const struct verb {
    uint8_t opcode;
    bool armed, empty;
    int8_t bit; /* of its capability, or -1 */
    void (*run)(void);
} verbs[] = {HIL_VERBS(VERB) HIL_EMULATOR_VERBS(NEVER)};

void execute(uint8_t opcode) {
    device_poll();
    device.transactions++;
    const struct verb *verb = verbs, *end = verbs + COUNT(verbs);
    while (verb < end && verb->opcode != opcode) verb++;
    if (allow(verb < end, ERR_UNKNOWN_OPCODE, opcode, "no such opcode: see section 7 of the protocol")) {
        bool able = verb->run && (verb->bit < 0 || (BOARD_CAPABILITIES >> verb->bit & 1));
        allow(able, ERR_UNSUPPORTED, (uint32_t)verb->bit, "this device cannot: see its capabilities");
        allow(!verb->armed || device.state != STATE_SAFE, ERR_NOT_ARMED, 0, "outputs are off: ARM first");
        allow(!verb->armed || device.state != STATE_TRIPPED, ERR_TRIPPED, device.trip, "tripped: CLEAR and ARM first");
        if (verb->empty) done();
        if (!request.code) verb->run();
    }
    device.fed = port_micros(); /* a request being executed counts as traffic, however long it took */
}
